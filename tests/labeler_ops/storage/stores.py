"""Objects to move."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.buckets import connect
from labeler_ops.storage.description import METADATA
from labeler_ops.storage.passes import Passes
from labeler_ops.storage.s3 import Read, Store, digests
from tests.labeler_ops.listening import Listener

ODD_KEYS = (
    "datasets/ds_1/images/한글 폴더/사진 1.jpg",
    "datasets/ds_1/images/\u1112\u1161\u11ab.jpg",  # composed differently from the one below
    "datasets/ds_1/images/\ud55c.jpg",
    "datasets/ds_1/images/a+b c%20d.jpg",
    "datasets/ds_1/images/q?x=1&y=#2.jpg",
    "datasets/ds_1/images/'quotes\"&<tags>;,@$!*().jpg",
    "datasets/ds_1/images/~tilde_-.JPG",
    "datasets/ds_1/images/😀.png",
)
HEADERS = {
    "content-type": "image/jpeg",
    "cache-control": "private, max-age=60",
    "content-disposition": "attachment; filename=\"x.jpg\"; filename*=UTF-8''%ED%95%9C.jpg",
    METADATA + "camera": "A 7",
}


class Objects:
    """One store, written to and read from by a test."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def put(self, key: str, body: bytes, headers: Mapping[str, str] = HEADERS, role: str = "datasets") -> None:
        sha256, md5 = await digests(body)
        bucket = dict(zip(("datasets", "annotations"), self.store.access.buckets, strict=True))[role]
        await self.store.put(bucket, key, Read(len(body), "", headers, sha256, md5, body))

    async def get(self, key: str) -> Read:
        return await self.store.fetch(self.store.access.datasets_bucket, key)

    async def delete(self, key: str) -> None:
        async with connect(self.store.access) as client:
            await client.delete_object(Bucket=self.store.access.datasets_bucket, Key=key)

    async def listing(self) -> set[tuple[str, int, str, str]]:
        async with connect(self.store.access) as client:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.store.access.datasets_bucket)
            return {
                (entry["Key"], entry["Size"], entry["ETag"], entry["LastModified"].isoformat())
                async for page in pages
                for entry in page.get("Contents", [])
            }


@asynccontextmanager
async def objects(access: StorageAccess) -> AsyncIterator[Objects]:
    """Open a store for a test."""
    async with Store.open(access, 16) as store:
        yield Objects(store)


def passes(directory: Path, source: StorageAccess, target: StorageAccess, database: str | None = None) -> Passes:
    """Passes over two stores that nobody listens to."""
    directory.mkdir(parents=True, exist_ok=True)
    return Passes(directory, source, target, database, Listener())


async def fill(side: Objects, count: int) -> None:
    """Put so many small objects beside the odd ones, sixteen at a time."""
    keys = iter([*ODD_KEYS, *(f"datasets/ds_{n % 3}/images/{n:04}.jpg" for n in range(count - len(ODD_KEYS)))])

    async def work() -> None:
        for key in keys:
            await side.put(key, os.urandom(2000 + len(key)))

    await asyncio.gather(*(work() for _ in range(16)))
