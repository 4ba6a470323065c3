"""ZIP archives of names that no image may have: cheap to make, and each name is an answer's line."""

import zipfile
from collections.abc import AsyncIterator

from tests.fixtures.pictures import archive
from tests.hostile.attacked import Attacked

ARCHIVES, ENTRIES = 20, 20_000
PART = b'--x\r\nContent-Disposition: form-data; name="files"; filename="%d.zip"\r\n\r\n'
FORM = {"Content-Type": "multipart/form-data; boundary=x"}


async def test_names_that_are_refused(attacked: Attacked) -> None:
    content = archive({f"../{number}.jpg": b"" for number in range(ENTRIES)}, zipfile.ZIP_STORED)
    dataset = await attacked.api.dataset()

    async def form() -> AsyncIterator[bytes]:
        for number in range(ARCHIVES):
            yield PART % number + content + b"\r\n"
        yield b"--x--\r\n"

    client = attacked.client("owner", timeout=300)
    async with attacked.bystander():
        answer = await client.post(f"/api/v1/datasets/{dataset.id}/images", content=form(), headers=FORM)
    body = answer.json()
    assert answer.status_code == 422
    assert body["code"] == "nothing_stored"
    assert len(body["failed"]) == 100
    assert body["failed_total"] >= 2 * ENTRIES
    assert len(answer.content) < 64 * 1024
