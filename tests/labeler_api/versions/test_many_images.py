"""Exports with tens of thousands of images, by a real process: flat memory, ZIP64, nothing held for a slow client."""

import io
import random
import zipfile

import httpx
import pytest

from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.pictures import image_rows, noise, upload
from tests.fixtures.versions import CLASSES, annotate_many, exported
from tests.labeler_api.versions.test_memory import Process
from tests.labeler_api.versions.test_memory import process as process  # noqa: PLC0414 - a fixture

MIB = 1024 * 1024
IMAGES = 33_000  # with their labels more members than a ZIP without ZIP64 can count
# Names of members are remembered, a hundred bytes each; the images themselves would be 100 MiB, the plan 10.
ROOM_BYTES = 40 * MIB
PICTURE = noise(64, 48)

_COPIES = """
    INSERT INTO image_metadata
        (dataset_id, id, file_name, s3_key, folder_path, size, width, height, content_sha256, content_type,
         content_checksum)
    SELECT dataset_id, 'many/' || n, n || '.jpg', s3_key, 'many', size, width, height, content_sha256, content_type,
           content_checksum
    FROM image_metadata, generate_series(1, $2::int) n WHERE dataset_id = $1 AND id = 'a'
"""
_AT_WORK = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid()
"""


class _Remote(io.RawIOBase):
    """A file behind a link, of which `zipfile` asks for ranges."""

    def __init__(self, client: httpx.Client, url: str, size: int, etag: str) -> None:
        self._client, self._url, self._size, self._etag = client, url, size, etag
        self._position = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        last = min(self._position + len(buffer), self._size) - 1
        if last < self._position:
            return 0
        headers = {"Range": f"bytes={self._position}-{last}", "If-Range": self._etag}
        answer = self._client.get(self._url, headers=headers)
        assert answer.status_code == 206
        buffer[: len(answer.content)] = answer.content
        self._position += len(answer.content)
        return len(answer.content)


async def _many(api: Api) -> Dataset:
    dataset = await api.dataset(tasks=["detection"], classes=CLASSES)
    assert (await upload(await api.login("owner"), dataset, ("a.jpg", PICTURE))).status_code == 200
    async with api.db.begin() as tx:
        await tx.execute(_COPIES, dataset.id, IMAGES)
    dataset.image_ids = list(await image_rows(api, dataset))
    await annotate_many(api, dataset, IMAGES + 1)
    return dataset


@pytest.mark.slow
async def test_tens_of_thousands_of_images(api: Api, process: Process) -> None:
    """Ten seconds: as many rows as ZIP64 takes, and a process of its own."""
    dataset = await _many(api)
    few = await exported(
        process.client, dataset, export_format="yolo", include_images=True, image_ids=dataset.image_ids[:9]
    )
    process.forget_peak()
    before = process.peak_bytes()
    answer = await exported(process.client, dataset, export_format="yolo", include_images=True)
    assert answer["image_count"] == IMAGES + 1
    assert answer["images_left_out"] == 0
    assert answer["file_size_bytes"] > IMAGES * len(PICTURE)
    assert process.peak_bytes() - before < ROOM_BYTES
    path = httpx.URL(answer["download_url"]).raw_path.decode()
    async with process.client.stream("GET", path) as download:
        first = await anext(download.aiter_bytes(MIB))
        assert first.startswith(b"PK\x03\x04")
        # The client takes no more for now. Nobody in the database waits for it.
        async with api.db.read() as connection:
            assert await connection.fetchval(_AT_WORK) == 0
        etag = download.headers["etag"]
    with (
        httpx.Client(base_url=process.client.base_url, timeout=60) as client,
        zipfile.ZipFile(io.BufferedReader(_Remote(client, path, answer["file_size_bytes"], etag), 4096)) as archive,
    ):
        names = archive.namelist()
        assert len(names) == 2 * (IMAGES + 1) + 2
        for name in random.Random(14).sample([name for name in names if name.startswith("images/")], 5):
            assert archive.read(name) == PICTURE
            assert archive.read(name.replace("images/", "labels/").replace(".jpg", ".txt")).count(b"\n") == 1
    assert process.peak_bytes() - before < ROOM_BYTES
    assert few["image_count"] == 9
