"""Make a backup: one moment of a database, dumped, measured, hashed and kept, with the inventory of the objects."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import msgspec

from labeler_ops.backup import clients, dumps, fingerprint, object_inventory
from labeler_ops.backup.backup_storage import BackupStorage, piece_of
from labeler_ops.backup.record import CONTENTS, DUMP, INVENTORY, RECORD, BackupRecord, FileDigest, new_id
from labeler_ops.backup.transport import require_encrypted
from labeler_ops.connecting import connected
from labeler_ops.database import state
from labeler_ops.database.roles import Database
from labeler_ops.errors import DatabaseError
from labeler_ops.reporter import Reporter, counting
from labeler_ops.runs import endpoint_name
from labeler_ops.storage.access import StorageAccess

_FACTS = """
    SELECT pg_database_size(oid) AS size, pg_encoding_to_char(encoding) AS encoding, datcollate, datctype,
           to_regclass('public.alembic_version') IS NOT NULL AS versioned
    FROM pg_database WHERE datname = current_database()
"""
_ROOM = 1.2  # of the database's size: a dump is compressed, and smaller than the tables and their indexes


class _Facts(msgspec.Struct):
    """What a backup's record says of its database."""

    server: int
    database_bytes: int
    encoding: str
    collate: str
    ctype: str
    revision: str | None


async def create(
    place: BackupStorage,
    url: str,
    reporter: Reporter,
    *,
    database: Database = "labeler",
    objects: StorageAccess | None = None,
    work: Path | None = None,
    jobs: int = dumps.JOBS,
    environ: Mapping[str, str] = os.environ,
) -> BackupRecord:
    """Make a backup of the database at `url` and keep it. Raises DatabaseError; then nothing is listed as a backup.

    `work` is where the dump lies until it is kept; the system's directory for such files, if none is given.
    """
    begun, started = datetime.now(UTC), perf_counter()
    facts = await _facts_of(url, database, environ)
    tools = clients.find(facts.server)
    backup_id = new_id(database, begun)
    async with working(work, facts.database_bytes) as directory:
        held = await _dumped(tools, url, directory, reporter, jobs)
        found = None
        if objects is not None:
            reporter.line("listing the objects")
            # After the moment of the dump: an upload puts its object before its row, so every row's is listed.
            found = await object_inventory.take(objects, directory / INVENTORY)
        files = await asyncio.to_thread(_pieces, directory)
        record = BackupRecord(
            id=backup_id,
            database=database,
            source=endpoint_name(url),
            created_at=begun,
            seconds=0,
            rows=held.rows,
            digest=held.digest,
            files=files,
            objects=found,
            **msgspec.structs.asdict(facts),
        )
        await _keep(place, record, directory, reporter)
    record = msgspec.structs.replace(record, seconds=round(perf_counter() - started, 3))
    # Last, and only now: what has a record is a backup.
    await place.write(f"{backup_id}/{RECORD}", msgspec.json.encode(record))
    return record


async def _dumped(
    tools: clients.Clients, url: str, directory: Path, reporter: Reporter, jobs: int
) -> fingerprint.Fingerprint:
    """Dump a moment, and measure the same one."""
    async with dumps.snapshot(url) as moment:
        reporter.line("dumping")
        await dumps.dump(
            tools, url, directory / DUMP, as_of=moment, jobs=jobs, on_progress=reporter.progress, kept=False
        )
        reporter.line("measuring every table")
        held = await fingerprint.read_fingerprint(url, as_of=moment, on_progress=reporter.progress)
    (directory / CONTENTS).write_bytes(msgspec.json.encode(held))
    return held


def _pieces(directory: Path) -> dict[str, FileDigest]:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): piece_of(path) for path in files}


async def _keep(place: BackupStorage, record: BackupRecord, directory: Path, reporter: Reporter) -> None:
    reporter.line(f"keeping {record.bytes:,} bytes in {place.name}")
    told = counting(reporter.progress, record.bytes)
    for name, piece in record.files.items():
        await place.upload(f"{record.id}/{name}", directory / name, piece, told)


async def _facts_of(url: str, database: Database, environ: Mapping[str, str]) -> _Facts:
    async with connected(url, "the database cannot be read") as connection:
        await require_encrypted(url, connection, environ)
        await state.require_kind(connection, database, endpoint_name(url))
        ((size, encoding, collate, ctype, versioned),) = await connection.fetch(_FACTS)
        revision = None
        if versioned:
            revision = await connection.fetchval("SELECT string_agg(version_num, ',') FROM public.alembic_version")
        return _Facts(connection.get_server_version().major, size, encoding, collate, ctype, revision)


@asynccontextmanager
async def working(root: Path | None, size: int) -> AsyncIterator[Path]:
    """Lend a directory that only we may read, with room for a dump; it is gone afterwards. Raises DatabaseError."""
    directory = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="labeler-backup-", dir=root))
    try:
        free = shutil.disk_usage(directory).free
        if free < size * _ROOM:
            raise DatabaseError(
                f"{size:,} bytes need room, and {free:,} are free in {directory.parent}: name another place with --work"
            )
        yield directory
    finally:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
