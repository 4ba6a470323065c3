"""Copy a database into an empty one; begun again from the start when it was cut off."""

import asyncio
from pathlib import Path
from time import perf_counter

import asyncpg
import msgspec

from labeler_ops.backup import db_settings, dumps
from labeler_ops.backup.clients import Clients
from labeler_ops.backup.dumps import JOBS, Told
from labeler_ops.backup.target import empty
from labeler_ops.database.errors import DatabaseRefused
from labeler_ops.database.roles import Database
from labeler_ops.move.rows import grants

_OURS = "labeler move"  # the application name of every tool that this one starts

_LEFT_AT_WORK = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE application_name = $1 AND datname = current_database() AND pid <> pg_backend_pid()
"""


class Copied(msgspec.Struct):
    """How long each part took, in seconds, and how large the dump was."""

    dump_seconds: float
    dump_bytes: int
    restore_seconds: float
    analyze_seconds: float


async def copy(
    clients: Clients,
    source: str,
    target: str,
    into: Path,
    *,
    jobs: int = JOBS,
    told: Told | None = None,
    database: Database = "labeler",
) -> Copied:
    """Dump the source and restore it into the target, which is empty. Raises DatabaseRefused at the first error."""
    await asyncio.to_thread(dumps.remove, into)  # what a run that was cut off left of this
    manifest = await dumps.dump(clients, source, into, jobs=jobs, told=told, kept=False)
    size = await dumps.database_size(source)
    theirs = database != "labeler"  # the platform's own services write there, with roles of their own
    if theirs:
        await grants.make_reader(target, database)
    seconds = await dumps.restore(clients, into, target, jobs=jobs, told=told, size=size, owners=theirs)
    await db_settings.carry(source, target)
    if theirs:
        await grants.carry_database_s(source, target)
    started = perf_counter()
    # A dump carries no statistics: without them the first queries on the target would be planned blindly.
    await clients.run("vacuumdb", "--analyze-only", f"--jobs={jobs}", url=target)
    return Copied(manifest.seconds, manifest.bytes, seconds, round(perf_counter() - started, 3))


async def clear(target: str) -> None:
    """Empty a target that a copy of ours was cut off in. Only for one that was empty when the run began."""
    connection = await asyncpg.connect(target, timeout=20)
    try:
        # A restore outlives its killed caller and would write on into the emptied database.
        await connection.fetch(_LEFT_AT_WORK, _OURS)
        await empty(connection)
    except asyncpg.PostgresError as error:
        raise DatabaseRefused(
            f"what the copy that was cut off left on the target cannot be removed: {error}"
        ) from error
    finally:
        await connection.close(timeout=5)
