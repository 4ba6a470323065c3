"""The two copies of a move: the backup that is known to be good, and the one into the empty target.

Each is begun again from the start when it was cut off.
"""

import asyncio
from pathlib import Path
from time import perf_counter
from typing import Any

import asyncpg
import msgspec

from labeler_ops.backup import clients, db_settings, dumps
from labeler_ops.backup.clients import Clients
from labeler_ops.backup.dumps import JOBS
from labeler_ops.backup.restore_target import empty
from labeler_ops.connecting import connected
from labeler_ops.database.roles import Database
from labeler_ops.errors import DatabaseError
from labeler_ops.move.rows import grants
from labeler_ops.reporter import Progress, Reporter
from labeler_ops.runs import Run

_OURS = "labeler move"  # the application name of every tool that this one starts

_LEFT_AT_WORK = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE application_name = $1 AND datname = current_database() AND pid <> pg_backend_pid()
"""


class CopyReport(msgspec.Struct):
    """How long each part took, in seconds, and how large the dump was."""

    dump_seconds: float
    dump_bytes: int
    restore_seconds: float
    analyze_seconds: float


async def copy(
    source: str,
    target: str,
    into: Path,
    *,
    jobs: int = JOBS,
    on_progress: Progress | None = None,
    database: Database = "labeler",
) -> CopyReport:
    """Dump the source and restore it into the target, which is empty. Raises DatabaseError at the first error."""
    tools = await _tools(target)
    await asyncio.to_thread(dumps.remove, into)  # what a run that was cut off left of this
    manifest = await dumps.dump(tools, source, into, jobs=jobs, on_progress=on_progress, kept=False)
    size = await dumps.database_size(source)
    theirs = database != "labeler"  # the platform's own services write there, with roles of their own
    if theirs:
        await grants.make_reader(target, database)
    seconds = await dumps.restore(tools, into, target, jobs=jobs, on_progress=on_progress, size=size, owners=theirs)
    await db_settings.carry(source, target)
    if theirs:
        await grants.carry_database_s(source, target, database)
    started = perf_counter()
    # A dump carries no statistics: without them the first queries on the target would be planned blindly.
    await tools.run("vacuumdb", "--analyze-only", f"--jobs={jobs}", url=target)
    return CopyReport(manifest.seconds, manifest.bytes, seconds, round(perf_counter() - started, 3))


async def clear(target: str) -> None:
    """Empty a target that a copy of ours was cut off in. Only for one that was empty when the run began."""
    try:
        async with connected(target) as connection:
            # A restore outlives its killed caller and would write on into the emptied database.
            await connection.fetch(_LEFT_AT_WORK, _OURS)
            await empty(connection)
    except asyncpg.PostgresError as error:
        raise DatabaseError(f"what the copy that was cut off left on the target cannot be removed: {error}") from error


async def _tools(target: str) -> Clients:
    """Find the client programs of a server's major version. Raises DatabaseError."""
    async with connected(target) as connection:
        return clients.find(connection.get_server_version().major)


async def back_up(
    run: Run, source: str, target: str, reporter: Reporter, *, jobs: int, name: str = "backup"
) -> dict[str, Any]:
    """Make the backup of a run, again if it was cut off; sizes in bytes and times in seconds.

    Raises DatabaseError when it cannot be proven, or is not what the source was.
    """
    directory, tools = run.path(name), await _tools(target)
    await asyncio.to_thread(dumps.remove, directory)  # what a run that was cut off left
    place_of_test = await dumps.restore_test_place(source, target, major=tools.major)
    if place_of_test is None:
        raise DatabaseError("neither role may create the scratch database of the restore test: grant CREATEDB to one")
    size = await dumps.database_size(source)
    async with dumps.snapshot(source) as moment:
        made = await dumps.dump(tools, source, directory, as_of=moment, jobs=jobs, on_progress=reporter.progress)
        tried = await dumps.restore_test(tools, directory, source, moment, at=place_of_test, jobs=jobs)
    run.write(f"{name}.report.json", tried.report)
    if not tried.report.same:
        reporter.show(tried.report)
        first = "; ".join(tried.report.lines()[:3])
        raise DatabaseError(f"the backup, restored, is not what the source was; nothing was switched: {first}")
    reporter.line(f"backup of {made.bytes:,} bytes, restored and compared in {tried.restore_seconds:.1f} s")
    return {
        "database_bytes": size,
        "bytes": made.bytes,
        "seconds": made.seconds,
        "restore_seconds": tried.restore_seconds,
    }
