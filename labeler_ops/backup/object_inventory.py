"""The objects that belong to a backup of the Labeler DB: what the buckets held, by key, size and ETag.

Objects are not in a dump. Their inventory says after a restore which of them are there no more, or are others.
"""

import gzip
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import msgspec

from labeler_ops.backup.record import InventorySummary
from labeler_ops.backup.transport import require_encrypted_store
from labeler_ops.errors import DatabaseError
from labeler_ops.storage.access import StorageAccess, StorageError
from labeler_ops.storage.listing import pages
from labeler_ops.storage.s3 import Store
from labeler_ops.storage.store_variables import BUCKETS, bucket_of, read_store


class InventoryEntry(msgspec.Struct, frozen=True, array_like=True):
    """One object; `bucket` is what it is for (datasets, annotations), `size` in bytes."""

    bucket: str
    key: str
    size: int
    etag: str
    modified: str


class Missing(msgspec.Struct):
    """What the store has no more (`gone`), or otherwise (`changed`); the first hundred by bucket and key."""

    looked_at: int = 0
    gone: int = 0
    changed: int = 0
    named: list[str] = []


_NAMED = 100


def store_of(environ: Mapping[str, str]) -> StorageAccess | None:
    """The labeler's own store, from S3_…; None where the environment names none. Raises DatabaseError."""
    if not environ.get("S3_ENDPOINT"):
        return None
    try:
        access = read_store(environ)
    except StorageError as error:
        raise DatabaseError(str(error)) from error
    require_encrypted_store(access.endpoint, environ)
    return access


async def take(access: StorageAccess, into: Path) -> InventorySummary:
    """Write the inventory of both buckets, compressed: one line an object."""
    objects = size = 0
    with gzip.open(into, "wb", compresslevel=1) as file:
        async for entry in _listed(access):
            file.write(msgspec.json.encode(entry) + b"\n")
            objects, size = objects + 1, size + entry.size
    return InventorySummary(f"{access.endpoint} {'+'.join(access.buckets)}", objects, size)


async def compare(access: StorageAccess, file: Path) -> Missing:
    """Compare an inventory with what the store holds now. Objects that came since are no difference."""
    found = Missing()
    now = {(entry.bucket, entry.key): (entry.size, entry.etag) async for entry in _listed(access)}
    with gzip.open(file, "rb") as lines:
        for line in lines:
            entry = msgspec.json.decode(line, type=InventoryEntry)
            found.looked_at += 1
            there = now.get((entry.bucket, entry.key))
            if there == (entry.size, entry.etag):
                continue
            if there is None:
                found.gone += 1
            else:
                found.changed += 1
            if len(found.named) < _NAMED:
                found.named.append(f"{entry.bucket}/{entry.key} {'is gone' if there is None else 'is another'}")
    return found


async def _listed(access: StorageAccess) -> AsyncIterator[InventoryEntry]:
    async with Store.open(access, 1) as store:
        for role in BUCKETS:
            async for page in pages(store, bucket_of(access, role)):
                for entry in page:
                    yield InventoryEntry(role, *entry)
