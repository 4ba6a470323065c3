"""Backups in a bucket of an S3 store."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

from labeler_ops.backup.backup_storage import OnBytes
from labeler_ops.backup.record import RECORD, FileDigest, is_id
from labeler_ops.backup.transport import require_encrypted_store
from labeler_ops.errors import DatabaseError
from labeler_ops.storage.access import StorageError
from labeler_ops.storage.listing import pages
from labeler_ops.storage.parts import in_parts, part_size
from labeler_ops.storage.s3 import PART_BYTES, PUT_LIMIT, ObjectGone, Read, Store, digests
from labeler_ops.storage.store_variables import read_store

_CONNECTIONS = 4  # files are sent one after the other; a large one in so many parts at once
_KIND = {"content-type": "application/octet-stream"}


class BucketStorage:
    """A prefix of a bucket."""

    def __init__(self, store: Store, bucket: str, prefix: str) -> None:
        self._store, self._bucket, self._prefix = store, bucket, prefix
        self.name = f"s3://{bucket}/{prefix}".rstrip("/")

    async def ids(self) -> list[str]:
        """List the ids below the root."""
        return sorted({backup_id for key in await self._keys("") if is_id(backup_id := key.partition("/")[0])})

    async def _keys(self, below: str) -> list[str]:
        start = f"{self._prefix}{below}"
        found = [entry[0] async for page in pages(self._store, self._bucket, prefix=start) for entry in page]
        return [key.removeprefix(self._prefix) for key in found]

    async def read(self, name: str) -> bytes | None:
        """Read a file into memory; None when there is none."""
        try:
            return (await self._store.fetch(self._bucket, self._prefix + name)).body
        except ObjectGone:
            return None

    async def write(self, name: str, content: bytes) -> None:
        """Write a file that appears whole or not at all."""
        sha256, md5 = await digests(content)
        await self._store.put(self._bucket, self._prefix + name, Read(len(content), "", _KIND, sha256, md5, content))

    async def upload(self, name: str, file: Path, piece: FileDigest, on_bytes: OnBytes) -> None:
        """Keep a copy of a file."""
        if piece.size < PUT_LIMIT:
            content = await asyncio.to_thread(file.read_bytes)
            if hashlib.sha256(content).hexdigest() != piece.sha256:
                raise DatabaseError(f"{file} changed while it was sent")
            await self.write(name, content)
            on_bytes(len(content))
            return
        await self._in_parts(name, file, piece, on_bytes)

    async def _in_parts(self, name: str, file: Path, piece: FileDigest, on_bytes: OnBytes) -> None:
        """Send a large file; each part is guarded by its MD5, the whole by the hash of what was read."""
        sha256, length = hashlib.sha256(), part_size(piece.size)
        with file.open("rb") as source:
            async with in_parts(self._store, self._bucket, self._prefix + name, _KIND) as upload:
                for number in range(1, -(-piece.size // length) + 1):
                    part = await asyncio.to_thread(source.read, length)
                    await asyncio.to_thread(sha256.update, part)
                    await upload.send(number, part)
                    on_bytes(len(part))
                if sha256.hexdigest() != piece.sha256:
                    raise DatabaseError(f"{file} changed while it was sent")

    async def download(self, name: str, into: Path, on_bytes: OnBytes) -> FileDigest:
        """Write a kept file to the disk."""
        key = self._prefix + name
        sha256, size = hashlib.sha256(), 0
        try:
            facts = await self._store.head(self._bucket, key)
            with into.open("wb") as file:
                for start in range(0, facts.size, PART_BYTES):
                    length = min(PART_BYTES, facts.size - start)
                    part = await self._store.fetch_range(self._bucket, key, start, length, facts.etag)
                    await asyncio.to_thread(file.write, part)
                    sha256.update(part)
                    size += len(part)
                    on_bytes(len(part))
        except ObjectGone as error:
            raise DatabaseError(f"{name} is missing in {self.name}") from error
        return FileDigest(size, sha256.hexdigest())

    async def digest(self, name: str, on_bytes: OnBytes) -> FileDigest | None:
        """Measure and hash a kept file; None when there is none."""
        try:
            facts = await self._store.head(self._bucket, self._prefix + name)
            read = await self._store.digest(self._bucket, self._prefix + name, facts.size)
        except ObjectGone:
            return None
        on_bytes(facts.size)
        return FileDigest(read.size, read.sha256)

    async def remove(self, backup_id: str) -> None:
        """Remove all of an id, the record first."""
        if not is_id(backup_id):
            raise DatabaseError(f"{backup_id!r} is no backup")
        keys = await self._keys(f"{backup_id}/")
        for key in sorted(keys, key=lambda key: not key.endswith(f"/{RECORD}")):
            await self._delete(self._prefix + key)

    async def _delete(self, key: str) -> None:
        async def delete() -> None:
            try:
                await self._store.ask("DELETE", self._bucket, key)
            except ObjectGone:
                return

        await self._store.insist(f"DELETE {self._bucket}/{key}", delete)


@asynccontextmanager
async def opened(where: str, environ: Mapping[str, str]) -> AsyncIterator[BucketStorage]:
    """Open `s3://bucket/prefix`. Raises DatabaseError for a wrong address, StorageError when it cannot be entered."""
    bucket, _, prefix = where.removeprefix("s3://").partition("/")
    if not bucket or quote(bucket) != bucket:
        raise DatabaseError(f"{where}: expected s3://bucket or s3://bucket/prefix")
    prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    try:
        access = read_store(environ, "BACKUP")
    except StorageError as error:
        raise DatabaseError(str(error)) from error
    require_encrypted_store(access.endpoint, environ)
    usual = {"S3_BUCKET_DATASETS": "datasets", "S3_BUCKET_ANNOTATIONS": "annotations"}
    if bucket in {environ.get(name) or default for name, default in usual.items()}:
        raise DatabaseError(f"{where}: that is a bucket of the labeler itself; give backups one of their own")
    async with Store.open(access, _CONNECTIONS) as store:
        yield BucketStorage(store, bucket, prefix)
