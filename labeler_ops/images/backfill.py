"""Fill in what rows of images lack: width, height, content type and content version, read from the object store.

Pictures are decoded as uploads are: in processes with limits of time and memory, after their scans were counted.

A row that is filled in is not looked at again, so an interrupted run goes on where it stopped. Several runs may work
at the same time: each image is one run's, by an advisory lock. A row that an upload changes meanwhile is left to it.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from hashlib import sha256
from tempfile import SpooledTemporaryFile
from typing import IO

import asyncpg
import msgspec

from labeler_api.db.failures import FAILURES
from labeler_api.errors import NotFound
from labeler_api.images.pictures.inspection import Picture, Rejected, inspect_picture
from labeler_api.object_store.objects import ObjectStore
from labeler_api.settings import Settings
from labeler_api.workers.decoders import Decoders, DecodingFailed, capacity
from labeler_ops.connecting import Connection
from labeler_ops.errors import DatabaseError
from labeler_ops.images.walking import PAGE, count, require_head, walk

_SPOOL_BYTES = 1024 * 1024  # what is larger is read from the disk by the process that decodes it

_LACKS = "(width IS NULL OR height IS NULL OR content_sha256 IS NULL OR content_type IS NULL)"
_COUNT = f"SELECT count(*) FROM image_metadata WHERE {_LACKS} AND ($1::text IS NULL OR dataset_id = $1)"  # noqa: S608
_LIST = f"""
    SELECT dataset_id, id FROM image_metadata
    WHERE {_LACKS} AND ($1::text IS NULL OR dataset_id = $1) AND (dataset_id, id) > ($2, $3)
    ORDER BY dataset_id, id LIMIT {PAGE}
"""  # noqa: S608 - constants
_READ = f"""
    SELECT dataset_id, id, s3_key, size, last_modified FROM image_metadata
    WHERE dataset_id = $1 AND id = $2 AND {_LACKS}
"""  # noqa: S608 - constants
_FILL = f"""
    WITH filled AS (
        UPDATE image_metadata
        SET content_sha256 = $5, size = $6, width = coalesce($7::int, width), height = coalesce($8::int, height),
            content_type = coalesce($9::text, content_type)
        WHERE dataset_id = $1 AND id = $2 AND s3_key = $3 AND last_modified = $4 AND {_LACKS}
          AND (content_sha256 IS DISTINCT FROM $5 OR $7::int IS NOT NULL)
        RETURNING dataset_id)
    UPDATE datasets d SET images_revision = d.images_revision + 1 FROM filled WHERE d.id = filled.dataset_id
"""  # noqa: S608 - constants
_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('image ' || $1 || '/' || $2, 0))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtextextended('image ' || $1 || '/' || $2, 0))"


class Failure(msgspec.Struct, frozen=True):
    """A row that could not be filled in, and why."""

    dataset_id: str
    image_id: str
    s3_key: str
    reason: str


class BackfillReport(msgspec.Struct):
    """How many rows lacked something at the start, were filled in, were another run's or an upload's, and failed."""

    lacking: int = 0
    filled: int = 0
    skipped: int = 0
    failed: list[Failure] = []

    @property
    def examined(self) -> int:
        """How many rows are dealt with."""
        return self.filled + self.skipped + len(self.failed)


async def backfill(
    settings: Settings, dataset: str | None, workers: int, progress: Callable[[BackfillReport], None]
) -> BackfillReport:
    """Fill in the rows of all datasets, or of one. Raises DatabaseError, Unavailable; what was done stays done."""
    dsn, bucket = settings.labeler_db_url, settings.s3_bucket_datasets
    await require_head(dsn)
    async with AsyncExitStack() as stack:
        objects = await ObjectStore.connect(settings, stack)
        decoders = Decoders(capacity(settings.decoding_memory_bytes))
        work = Backfill(dsn, objects, bucket, decoders, max_pixels=settings.max_image_pixels)
        try:
            return await work.run(dataset_id=dataset, workers=workers, progress=progress)
        except FAILURES as error:
            raise DatabaseError(f"the database went away, what was done stays done: {error}") from error


class Backfill:
    """One run over the images of all datasets, or of one."""

    def __init__(self, dsn: str, objects: ObjectStore, bucket: str, decoders: Decoders, *, max_pixels: int) -> None:
        self._dsn = dsn
        self._objects = objects
        self._bucket = bucket
        self._decoders = decoders
        self._max_pixels = max_pixels
        self.report = BackfillReport()

    async def run(
        self, *, dataset_id: str | None = None, workers: int = 4, progress: Callable[[BackfillReport], None]
    ) -> BackfillReport:
        """Fill in every row that lacks something. Raises Unavailable when the store is away; what is done stays."""
        self.report.lacking = await count(self._dsn, _COUNT, dataset_id)
        progress(self.report)

        async def work(connection: Connection, number: int, row: asyncpg.Record) -> None:
            await self._one(connection, number, *row)
            progress(self.report)

        await walk(self._dsn, _LIST, dataset_id, workers, work)
        return self.report

    async def _one(self, connection: Connection, worker: int, dataset_id: str, image_id: str) -> None:
        if not await connection.fetchval(_LOCK, dataset_id, image_id):
            self.report.skipped += 1
            return
        try:
            # Read under the lock: another run may have been here since the list was made.
            row = await connection.fetchrow(_READ, dataset_id, image_id)
            if row is None:
                self.report.skipped += 1
            else:
                await self._fill(connection, worker, row)
        finally:
            await connection.execute(_UNLOCK, dataset_id, image_id)

    async def _fill(self, connection: Connection, worker: int, row: asyncpg.Record) -> None:
        try:
            digest, size, found = await self._read(worker, row["s3_key"])
        except NotFound:
            self._fail(row, "the object is not in the store")
            return
        known = (None, None, None) if isinstance(found, str) else (found.width, found.height, found.content_type)
        key = (row["dataset_id"], row["id"], row["s3_key"], row["last_modified"])
        status = await connection.execute(_FILL, *key, digest, size, *known)
        if isinstance(found, str):
            self._fail(row, found)
        elif status == "UPDATE 0":
            self.report.skipped += 1
        else:
            self.report.filled += 1

    async def _read(self, worker: int, s3_key: str) -> tuple[str, int, Picture | str]:
        """Stream one object: the digest and the size of its bytes, and the picture or the reason why it is none."""
        digest, size = sha256(), 0
        with SpooledTemporaryFile(max_size=_SPOOL_BYTES) as file:
            async with self._objects.open(self._bucket, s3_key) as stream:
                async for chunk in stream.iter_chunks():
                    digest.update(chunk)
                    file.write(chunk)
                    size += len(chunk)
            file.seek(0)
            return digest.hexdigest(), size, await self._decoded(worker, file, size)

    async def _decoded(self, worker: int, file: IO[bytes], size: int) -> Picture | str:
        """Decode a picture. The decoders share their processes among people, and each worker is one."""
        try:
            found: Picture | Rejected = await self._decoders.run(worker, inspect_picture, file, size, self._max_pixels)
        except DecodingFailed as error:
            return f"the object cannot be used: {error}"
        return found if isinstance(found, Picture) else f"the object cannot be used: {found.reason}"

    def _fail(self, row: asyncpg.Record, reason: str) -> None:
        self.report.failed.append(Failure(row["dataset_id"], row["id"], row["s3_key"], reason))
