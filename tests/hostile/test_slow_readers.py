"""Clients that ask for much and read nothing: media links, exports' way, and large JSON answers."""

import asyncio
import time

import pytest

from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import image_rows, media_path, picture
from tests.fixtures.timing import check_within
from tests.fixtures.versions import CLASSES, annotate, annotation, published
from tests.hostile.attacked import Attacked
from tests.hostile.wire import Wire, wires

MEBIBYTE = 2**20
READERS = 256


@pytest.fixture(scope="module")
def variables() -> dict[str, str]:
    return {"API_SLOW_SECONDS": "5", "S3_MAX_CONNECTIONS": "64", "MAX_STREAMS_PER_CLIENT": "0"}


async def large_image(attacked: Attacked, owner: str, size: int = 16 * MEBIBYTE) -> tuple[Dataset, str]:
    """An image of so many bytes, and the path of its owner's link."""
    api = attacked.api
    dataset = await api.dataset(owner=owner, images=1)
    [image] = (await image_rows(api, dataset)).values()
    async with api.services.objects.upload_stream("datasets", image["s3_key"], "image/jpeg") as target:
        for _ in range(size // MEBIBYTE):
            await target.write(bytes(MEBIBYTE))
    async with api.db.begin() as tx:
        await tx.execute("UPDATE image_metadata SET size = $1 WHERE dataset_id = $2", size, dataset.id)
    listed = await (await api.login(owner)).get(f"/api/v1/projects/{dataset.project_id}/images")
    return dataset, media_path(listed.json()["images"][0]["url"])


async def large_version(attacked: Attacked, owner: str, size: int = 16 * MEBIBYTE) -> str:
    """The path of the link of a published version whose file has so many bytes."""
    api = attacked.api
    dataset = await api.dataset(owner=owner, tasks=["detection"], images=1, classes=CLASSES)
    await annotate(api, dataset, annotation(dataset.image_ids[0]))
    version = await published(await api.login(owner), dataset)
    async with api.services.objects.upload_stream("annotations", version["export_path"], "application/json") as target:
        for _ in range(size // MEBIBYTE):
            await target.write(bytes(MEBIBYTE))
    async with api.db.begin() as tx:
        await tx.execute("UPDATE annotation_versions SET file_size_bytes = $1 WHERE id = $2", size, version["id"])
    return media_path(version["download_url"])


async def ask(readers: list[Wire], *paths: str) -> None:
    """Ask and read nothing; one after the other, since it is not the asking that is the attack."""
    for number, reader in enumerate(readers):
        reader.reader._transport.pause_reading()  # type: ignore[attr-defined]
        reader.writer.write(f"GET {paths[number % len(paths)]} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await asyncio.sleep(0.01)


async def use_it(attacked: Attacked, mine: Dataset, path: str) -> float:
    """Another person uploads, looks and asks for readiness; return the longest of these calls in seconds."""
    longest = 0.0
    client = attacked.client("reviewer")
    files = {"files": ("new.jpg", picture(), "image/jpeg")}
    for method, url, given in (
        ("POST", f"/api/v1/datasets/{mine.id}/images", {"files": files}),
        ("GET", path, {}),
        ("GET", "/health/ready", {}),
    ):
        started = time.monotonic()
        answer = await client.request(method, url, **given)  # type: ignore[arg-type]
        longest = max(longest, time.monotonic() - started)
        assert answer.status_code == 200, (url, answer.text[:300])
    return longest


async def test_one_person_who_reads_nothing_takes_nobody_elses_images(attacked: Attacked) -> None:
    _, path = await large_image(attacked, "annotator")
    mine, other_path = await large_image(attacked, "reviewer", MEBIBYTE)
    async with attacked.bystander(), wires(attacked.url, READERS, receive_bytes=4096) as readers:
        await ask(readers, path)
        for _ in range(3):
            check_within(await use_it(attacked, mine, other_path), 10)


async def test_one_person_who_reads_no_version_takes_nobody_elses_images(attacked: Attacked) -> None:
    """Files of versions are streams as images are, and have the same places."""
    path = await large_version(attacked, "annotator")
    mine, other_path = await large_image(attacked, "reviewer", MEBIBYTE)
    async with attacked.bystander(), wires(attacked.url, READERS, receive_bytes=4096) as readers:
        await ask(readers, path)
        for _ in range(3):
            check_within(await use_it(attacked, mine, other_path), 10)


async def test_many_who_read_nothing_keep_no_upload_waiting_and_are_ended(attacked: Attacked) -> None:
    """All places of streams are taken: uploads and readiness have connections that streams cannot take."""
    paths = [(await large_image(attacked, owner))[1] for owner in ("annotator", "owner", "viewer")]
    mine, other_path = await large_image(attacked, "reviewer", MEBIBYTE)
    client = attacked.client("reviewer")
    async with attacked.bystander(), wires(attacked.url, READERS, receive_bytes=4096) as readers:
        await ask(readers, *paths)
        refused = None
        async with asyncio.timeout(20):
            while refused is None or refused.status_code == 206:
                await asyncio.sleep(0.1)
                refused = await client.get(other_path, headers={"Range": "bytes=0-9"})
        assert refused.status_code == 503
        assert refused.json()["code"] == "streams_busy"
        assert int(refused.headers["retry-after"]) >= 1
        for call in (
            client.post(f"/api/v1/datasets/{mine.id}/images", files={"files": ("n.jpg", picture(), "image/jpeg")}),
            client.get("/health/ready"),
        ):
            assert (await call).status_code == 200
        async with asyncio.timeout(60):  # each has its window, and those that waited in line come after the first
            while (await client.get(other_path)).status_code != 200:  # noqa: ASYNC110 - nothing to wait for
                await asyncio.sleep(0.5)


async def test_large_answers_that_nobody_reads_end(attacked: Attacked) -> None:
    """The application is done with each and the connections are idle, but for bytes that nobody takes."""
    path = "/docs/assets/swagger-ui-bundle.js"
    size = len((await attacked.client().get(path)).content)
    asked = 4  # more than the kernel takes for a connection
    async with attacked.bystander(), wires(attacked.url, 30, receive_bytes=4096) as readers:
        for reader in readers:
            reader.reader._transport.pause_reading()  # type: ignore[attr-defined]
            reader.writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * asked)
            await asyncio.sleep(0.05)
        await asyncio.sleep(8)
        for reader in readers:
            reader.reader._transport.resume_reading()  # type: ignore[attr-defined]
        taken = await asyncio.gather(*(reader.read_off(30) for reader in readers))
    check_within(max(taken), asked * size)
