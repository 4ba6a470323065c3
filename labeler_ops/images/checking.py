"""Compare every image's row with its object: is it there, is it as large, has it the bytes that the row describes?

Uploads from before each had a key of its own could leave a new object under an old row. Nothing is changed here.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

import asyncpg
import msgspec

from labeler_api.errors import NotFound
from labeler_api.object_store.objects import ObjectStore
from labeler_ops.connecting import Connection
from labeler_ops.images.walking import PAGE, count, walk

_NAMED = 10_000  # by name; all are counted

_COLUMNS = "dataset_id, id, s3_key, thumbnail_key, rendition_key, size, content_sha256, last_modified"
_COUNT = "SELECT count(*) FROM image_metadata WHERE ($1::text IS NULL OR dataset_id = $1)"
_LIST = f"""
    SELECT {_COLUMNS} FROM image_metadata
    WHERE ($1::text IS NULL OR dataset_id = $1) AND (dataset_id, id) > ($2, $3)
    ORDER BY dataset_id, id LIMIT {PAGE}
"""  # noqa: S608 - constants
_READ = f"SELECT {_COLUMNS} FROM image_metadata WHERE dataset_id = $1 AND id = $2"  # noqa: S608 - constants


class Mismatch(msgspec.Struct, frozen=True):
    """An image whose object is not what its row says, and how: missing, size, content, thumbnail or rendition."""

    dataset_id: str
    image_id: str
    key: str
    kind: str
    text: str


@dataclass(slots=True)
class CheckReport:
    """How many images there are and were looked at, how many bytes were read, and what does not fit."""

    images: int = 0
    examined: int = 0
    read_bytes: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    mismatches: list[Mismatch] = field(default_factory=list)

    def note(self, found: Mismatch) -> None:
        """Count one, and keep the first ten thousand by name."""
        self.counts[found.kind] += 1
        if len(self.mismatches) < _NAMED:
            self.mismatches.append(found)


class Check:
    """One walk over the images of all datasets, or of one. With `read`, every image is read to its end."""

    def __init__(self, dsn: str, objects: ObjectStore, bucket: str, *, read: bool) -> None:
        self._dsn, self._objects, self._bucket, self._read = dsn, objects, bucket, read
        self.report = CheckReport()

    async def run(
        self, *, dataset_id: str | None, workers: int, progress: Callable[[CheckReport], None]
    ) -> CheckReport:
        """Look at every image. Raises Unavailable when the store is away."""
        self.report.images = await count(self._dsn, _COUNT, dataset_id)

        async def work(connection: Connection, _number: int, row: asyncpg.Record) -> None:
            await self._one(connection, row)
            progress(self.report)

        await walk(self._dsn, _LIST, dataset_id, workers, work)
        self.report.mismatches.sort(key=lambda one: (one.dataset_id, one.image_id, one.kind))
        return self.report

    async def _one(self, connection: Connection, row: asyncpg.Record) -> None:
        found = await self._compare(row)
        # An upload may have turned the row to another object since it was listed.
        while found and (now := await connection.fetchrow(_READ, row["dataset_id"], row["id"])) != row:
            if now is None:
                found = []
                break
            row = now
            found = await self._compare(row)
        for one in found:
            self.report.note(one)
        self.report.examined += 1

    async def _compare(self, row: asyncpg.Record) -> list[Mismatch]:
        found = [("image", *fault)] if (fault := await self._of_image(row)) else []
        if row["thumbnail_key"] and not await self._is_there(row["thumbnail_key"]):
            found.append(("thumbnail", "thumbnail", "the thumbnail is not in the store"))
        if row["rendition_key"] and not await self._is_there(row["rendition_key"]):
            found.append(("rendition", "rendition", "what browsers are shown of it is not in the store"))
        keys = {"image": row["s3_key"], "thumbnail": row["thumbnail_key"], "rendition": row["rendition_key"]}
        return [Mismatch(row["dataset_id"], row["id"], keys[which], kind, text) for which, kind, text in found]

    async def _of_image(self, row: asyncpg.Record) -> tuple[str, str] | None:
        try:
            size, digest = await (self._digest(row["s3_key"]) if self._read else self._said(row["s3_key"]))
        except NotFound:
            return "missing", "the image is not in the store"
        if size != row["size"]:
            return "size", f"the row says {row['size']:,} bytes, the object has {size:,}"
        if digest is not None and row["content_sha256"] not in {None, digest}:
            return "content", f"the row says SHA-256 {row['content_sha256'][:16]}…, the object has {digest[:16]}…"
        return None

    async def _said(self, key: str) -> tuple[int, str | None]:
        """The size of an object, and the digest that its upload stored with it, if there is one."""
        info = await self._objects.head(self._bucket, key)
        return info.size, (info.metadata or {}).get("sha256")

    async def _digest(self, key: str) -> tuple[int, str]:
        digest, size = sha256(), 0
        async with self._objects.open(self._bucket, key) as stream:
            async for chunk in stream.iter_chunks():
                digest.update(chunk)
                size += len(chunk)
        self.report.read_bytes += size
        return size, digest.hexdigest()

    async def _is_there(self, key: str) -> bool:
        try:
            await self._objects.head(self._bucket, key)
        except NotFound:
            return False
        return True
