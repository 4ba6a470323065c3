"""Files of annotations that are made to fill memory or to take for ever, while another person works."""

import asyncio
from collections.abc import Callable

import pytest

from labeler_api.imports.readers.strict_json import MAX_ITEMS
from tests.fixtures.pictures import picture
from tests.hostile.attacked import Attacked

MEGABYTE = 10**6

FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "millions of annotations that are none": (
        lambda: b'{"annotations":[' + b"0," * (10 * MEGABYTE) + b"0]}",
        f"more than {MAX_ITEMS} items",
    ),
    "one annotation of all the bytes": (
        lambda: b'{"annotations":[{"segmentation":[' + b"0," * (10 * MEGABYTE) + b"0]}]}",
        "one value of more than 4 MiB",
    ),
    "names": (
        lambda: b'{"annotations":[],"x":{' + b",".join(b'"%d":0' % n for n in range(MEGABYTE)) + b"}}",
        "more than 20000 names",
    ),
    "a member that nobody reads": (
        lambda: b'{"annotations":[],"x":[' + b'{"a":[{}]},' * (MEGABYTE // 2) + b"0]}",
        "no annotations",
    ),
}


@pytest.mark.parametrize("kind", FILES)
async def test_a_file_that_fills_memory(attacked: Attacked, kind: str) -> None:
    """20 MB took 900 MiB and 44 s."""
    make, reason = FILES[kind]
    dataset = await attacked.api.dataset(owner="owner", tasks=["detection"], images=1)
    content = make()
    async with attacked.bystander():
        answer = await attacked.client("owner").post(
            f"/api/v1/datasets/{dataset.id}/images",
            files=[("files", ("a.png", picture())), ("annotation_file", ("a.json", content))],
        )
        await asyncio.sleep(1)  # the bystander goes on meanwhile
    assert reason in answer.text
