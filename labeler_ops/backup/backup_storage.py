"""Where backups are kept: a folder or a bucket. Both hold the same files under the same names."""

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from labeler_ops.backup.record import PROOF, RECORD, BackupRecord, FileDigest, Proof, StoredBackup, decoded, is_id
from labeler_ops.errors import DatabaseError
from labeler_ops.files import write_whole

OnBytes = Callable[[int], None]
"""Hears how many more bytes are done."""


class BackupStorage(Protocol):
    """Keeps files by name; `<id>/<file>`. Raises DatabaseError for what is not there or cannot be done."""

    name: str

    async def ids(self) -> list[str]:
        """List the ids that anything is kept of, whole backups or not."""

    async def read(self, name: str) -> bytes | None:
        """Read a small file; None when there is none."""

    async def write(self, name: str, content: bytes) -> None:
        """Write a small file, whole or not at all."""

    async def upload(self, name: str, file: Path, piece: FileDigest, on_bytes: OnBytes) -> None:
        """Keep a copy of a file that has this hash."""

    async def download(self, name: str, into: Path, on_bytes: OnBytes) -> FileDigest:
        """Write a kept file to the disk, and say what was read."""

    async def digest(self, name: str, on_bytes: OnBytes) -> FileDigest | None:
        """Read a kept file to its end; None when there is none."""

    async def remove(self, backup_id: str) -> None:
        """Remove everything of an id, the record first: what is half removed is no backup."""


class Folder:
    """A directory; what it holds may be read by its owner alone."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.name = str(root)

    async def ids(self) -> list[str]:
        """List the ids below the root."""
        if not await asyncio.to_thread(self._root.is_dir):
            return []
        return sorted(path.name for path in self._root.iterdir() if is_id(path.name) and path.is_dir())

    async def read(self, name: str) -> bytes | None:
        """Read a file into memory; None when there is none."""
        path = self._root / name
        return await asyncio.to_thread(path.read_bytes) if path.is_file() else None

    async def write(self, name: str, content: bytes) -> None:
        """Write a file that appears whole or not at all."""
        await asyncio.to_thread(self._put, self._root / name, content)

    def _put(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(path, content)

    async def upload(self, name: str, file: Path, piece: FileDigest, on_bytes: OnBytes) -> None:
        """Keep a copy of a file."""
        into = self._root / name
        await asyncio.to_thread(into.parent.mkdir, parents=True, exist_ok=True, mode=0o700)
        if await asyncio.to_thread(_copied, file, into, on_bytes) != piece:
            raise DatabaseError(f"{file} changed while it was copied to {into}")

    async def download(self, name: str, into: Path, on_bytes: OnBytes) -> FileDigest:
        """Write a kept file to the disk."""
        if not (self._root / name).is_file():
            raise DatabaseError(f"{name} is missing in {self.name}")
        return await asyncio.to_thread(_copied, self._root / name, into, on_bytes)

    async def digest(self, name: str, on_bytes: OnBytes) -> FileDigest | None:
        """Measure and hash a kept file; None when there is none."""
        path = self._root / name
        return await asyncio.to_thread(piece_of, path, on_bytes) if path.is_file() else None

    async def remove(self, backup_id: str) -> None:
        """Remove all of an id, the record first."""
        (self._root / backup_id / RECORD).unlink(missing_ok=True)
        await asyncio.to_thread(shutil.rmtree, self._root / backup_id)


_BLOCK = 1024 * 1024


def piece_of(path: Path, on_bytes: OnBytes = lambda _bytes: None) -> FileDigest:
    """Measure and hash a file."""
    sha256, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            sha256.update(block)
            size += len(block)
            on_bytes(len(block))
    return FileDigest(size, sha256.hexdigest())


def _copied(source: Path, target: Path, on_bytes: OnBytes) -> FileDigest:
    """Copy a file, on the disk when this returns, and say what was read."""
    sha256, size = hashlib.sha256(), 0
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with source.open("rb") as ours, os.fdopen(descriptor, "wb") as into:
        while block := ours.read(_BLOCK):
            sha256.update(block)
            into.write(block)
            size += len(block)
            on_bytes(len(block))
        into.flush()
        os.fsync(into.fileno())
    return FileDigest(size, sha256.hexdigest())


async def list_backups(
    place: BackupStorage, among: Iterable[str] | None = None
) -> tuple[list[StoredBackup], list[str]]:
    """List the backups, the oldest first, and the ids that have no record: attempts under way, or cut off."""
    found, unfinished = [], []
    for backup_id in await place.ids() if among is None else among:
        content = await place.read(f"{backup_id}/{RECORD}")
        if content is None:
            unfinished.append(backup_id)
            continue
        found.append(StoredBackup(decoded(content, backup_id), await proof_of(place, backup_id)))
    return found, unfinished


async def proof_of(place: BackupStorage, backup_id: str) -> Proof | None:
    """Read when a backup was last proven; what cannot be read proves nothing."""
    content = await place.read(f"{backup_id}/{PROOF}")
    try:
        return msgspec.json.decode(content, type=Proof) if content is not None else None
    except msgspec.MsgspecError:
        return None


async def find_record(place: BackupStorage, wanted: str, database: str) -> BackupRecord:
    """Find a backup by its id, or the newest one of a database by `latest`. Raises DatabaseError."""
    if wanted != "latest":
        content = await place.read(f"{wanted}/{RECORD}") if is_id(wanted) else None
        if content is None:
            raise DatabaseError(f"there is no backup {wanted!r} in {place.name}; `labeler backup list` names them")
        return decoded(content, wanted)
    ids = [one for one in await place.ids() if f"-{database}-" in one]
    for backup_id in reversed(ids):
        if (content := await place.read(f"{backup_id}/{RECORD}")) is not None:
            return decoded(content, backup_id)
    raise DatabaseError(f"there is no backup of the database {database!r} in {place.name}")


async def record_proof(place: BackupStorage, backup_id: str, proof: Proof) -> None:
    """Record that a backup was proven. A check of its bytes does not replace the record of an equal restore."""
    before = await proof_of(place, backup_id)
    if before is None or proof.how == "restored" or before.how == "bytes":
        await place.write(f"{backup_id}/{PROOF}", msgspec.json.encode(proof))


@asynccontextmanager
async def opened(where: str, environ: Mapping[str, str] = os.environ) -> AsyncIterator[BackupStorage]:
    """Open `s3://bucket/prefix` by BACKUP_S3_…, or a directory by its path."""
    if not where.startswith("s3://"):
        yield Folder(Path(where))
        return
    from labeler_ops.backup.bucket import opened as opened_bucket

    async with opened_bucket(where, environ) as bucket:
        yield bucket
