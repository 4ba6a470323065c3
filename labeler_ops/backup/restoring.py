"""The way back: fetch a backup, prove its bytes, restore it, and compare what came out with what went in."""

import asyncio
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from urllib.parse import urlsplit

import msgspec

from labeler_api.db.failures import FAILURES
from labeler_ops.backup import clients, db_settings, dumps, fingerprint, object_inventory, restore_target
from labeler_ops.backup.backup_storage import BackupStorage, record_proof
from labeler_ops.backup.creating import working
from labeler_ops.backup.record import CONTENTS, DUMP, INVENTORY, BackupRecord, Proof
from labeler_ops.errors import DatabaseError
from labeler_ops.reporter import Reporter, counting
from labeler_ops.storage.access import StorageAccess


class Restored(msgspec.Struct, kw_only=True):
    """What a restore did; seconds of each part. `differences` is empty where the database is what it was."""

    id: str
    rows: int
    digest: str
    fetch_seconds: float
    restore_seconds: float
    compare_seconds: float
    differences: list[str]
    objects: object_inventory.Missing | None = None

    @property
    def seconds(self) -> float:
        """How long all of it took."""
        return round(self.fetch_seconds + self.restore_seconds + self.compare_seconds, 3)

    @property
    def same(self) -> bool:
        """Whether the database is what it was."""
        return not self.differences


async def restore(
    place: BackupStorage,
    record: BackupRecord,
    into: str,
    reporter: Reporter,
    *,
    replace: str | None = None,
    owners: bool = False,
    objects: StorageAccess | None = None,
    work: Path | None = None,
    jobs: int = dumps.JOBS,
    environ: Mapping[str, str] = os.environ,
) -> Restored:
    """Restore a backup into a database that is empty, or is not there yet, or may be emptied.

    Nothing is touched before every file was fetched and has its hash. Raises DatabaseError.
    """
    tools = await _tools(record, into, environ)
    async with working(work, record.bytes) as directory:
        fetched = await _fetch(place, record, directory, reporter)
        made = await restore_target.prepare_target(into, record, replace=replace, environ=environ)
        try:
            done = await _restored(tools, record, directory, into, reporter, fetched, owners=owners, jobs=jobs)
        except BaseException:
            if made:  # half of a database must not be taken for one
                with suppress(DatabaseError, *FAILURES):
                    await asyncio.shield(restore_target.drop_target(into))
            raise
        if objects is not None and record.objects is not None:
            reporter.line("looking for the objects")
            done.objects = await object_inventory.compare(objects, directory / INVENTORY)
    await _note(place, record, done)
    return done


async def try_out(
    place: BackupStorage,
    record: BackupRecord,
    at: str,
    reporter: Reporter,
    *,
    work: Path | None = None,
    jobs: int = dumps.JOBS,
    environ: Mapping[str, str] = os.environ,
) -> Restored:
    """Restore a backup into a scratch database on the server of `at`, compare, and drop it again."""
    scratch = urlsplit(at)._replace(path=f"/labeler_restore_test_{secrets.token_hex(4)}").geturl()
    try:
        return await restore(place, record, scratch, reporter, work=work, jobs=jobs, environ=environ)
    finally:
        await asyncio.shield(restore_target.drop_target(scratch))


async def check(place: BackupStorage, record: BackupRecord, reporter: Reporter) -> float:
    """Read every file of a backup where it is kept, and compare hashes; seconds. Raises DatabaseError."""
    started, told = perf_counter(), counting(reporter.progress, record.bytes)
    reporter.line(f"reading {record.bytes:,} bytes of {record.id}")
    wrong = []
    for name, piece in record.files.items():
        found = await place.digest(f"{record.id}/{name}", told)
        if found != piece:
            wrong.append(f"{name} {'is missing' if found is None else 'is damaged'}")
    if wrong:
        raise DatabaseError(f"the backup {record.id} cannot be restored: {', '.join(wrong)}")
    seconds = round(perf_counter() - started, 3)
    await record_proof(
        place, record.id, Proof(at=datetime.now(UTC), how="bytes", digest=record.digest, seconds=seconds)
    )
    return seconds


async def _tools(record: BackupRecord, into: str, environ: Mapping[str, str]) -> clients.Clients:
    major = await restore_target.server_major(into, environ)
    if major < record.server:
        raise DatabaseError(
            f"the backup is of PostgreSQL {record.server}, and the target runs {major}: an older one cannot take it"
        )
    return clients.find(major)


async def _fetch(place: BackupStorage, record: BackupRecord, directory: Path, reporter: Reporter) -> float:
    """Fetch every file, and compare its hash with the record; seconds."""
    started, told = perf_counter(), counting(reporter.progress, record.bytes)
    reporter.line(f"fetching {record.bytes:,} bytes from {place.name}")
    await asyncio.to_thread((directory / DUMP).mkdir)
    wrong = []
    for name, piece in record.files.items():
        if await place.download(f"{record.id}/{name}", directory / name, told) != piece:
            wrong.append(name)
    if wrong:
        raise DatabaseError(
            f"the backup {record.id} is damaged, and nothing was restored: {', '.join(wrong)} does not have its hash"
        )
    return round(perf_counter() - started, 3)


async def _restored(
    tools: clients.Clients,
    record: BackupRecord,
    directory: Path,
    into: str,
    reporter: Reporter,
    fetched: float,
    *,
    owners: bool,
    jobs: int,
) -> Restored:
    then = msgspec.json.decode((directory / CONTENTS).read_bytes(), type=fingerprint.Fingerprint)
    started = perf_counter()
    reporter.line(f"restoring {record.rows:,} rows")
    await dumps.restore(
        tools,
        directory / DUMP,
        into,
        jobs=jobs,
        on_progress=reporter.progress,
        size=record.database_bytes,
        owners=owners,
    )
    await db_settings.give(into, then.definitions["setting"])
    # A dump carries no statistics: without them the first queries would be planned blindly.
    await tools.run("vacuumdb", "--analyze-only", f"--jobs={jobs}", url=into)
    restored = perf_counter()
    reporter.line("comparing every table")
    now = await fingerprint.read_fingerprint(into, on_progress=reporter.progress)
    return Restored(
        id=record.id,
        rows=now.rows,
        digest=now.digest,
        fetch_seconds=fetched,
        restore_seconds=round(restored - started, 3),
        compare_seconds=round(perf_counter() - restored, 3),
        differences=fingerprint.differences(then, now),
    )


async def _note(place: BackupStorage, record: BackupRecord, done: Restored) -> None:
    if done.same:
        proof = Proof(at=datetime.now(UTC), how="restored", digest=done.digest, seconds=done.seconds)
        await record_proof(place, record.id, proof)
