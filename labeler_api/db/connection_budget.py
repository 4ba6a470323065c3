"""Whether the server has room for the connections that these processes may open. Asked once, at the start."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from labeler_api.db.pool import Database
from labeler_api.errors import AppError

BESIDE_THE_POOL = 3
"""Connections of a process beside its pool: job queue, maintenance mode, and one that a restart overlaps with."""

# -1 is PostgreSQL's word for no limit. Sessions of other roles show no more than that they are there.
_ROOM = """
    SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS server,
           (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) AS role,
           (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS database,
           (SELECT count(*) FROM pg_stat_activity
            WHERE datid IS NOT NULL AND application_name <> 'labeler_api')::int AS others
"""

log = structlog.get_logger(__name__)


@asynccontextmanager
async def compared(db: Database, *, of_a_process: int, processes: int) -> AsyncIterator[None]:
    """Log a warning with the numbers where they do not fit. The start waits for nothing of it."""
    task = asyncio.create_task(_compare(db, of_a_process + BESIDE_THE_POOL, processes))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _compare(db: Database, of_a_process: int, processes: int) -> None:
    with suppress(AppError):  # an absent database is reported elsewhere
        async with db.read() as connection:
            (found,) = await connection.fetch(_ROOM)
        needed = of_a_process * processes
        server = max(0, found["server"] - found["others"])
        limits = {"server": server, "role": found["role"], "database": found["database"]}
        short = {name: limit for name, limit in limits.items() if 0 <= limit < needed}
        if short:
            log.warning(
                "there may be too few connections: lower DB_MAX_OVERFLOW, or raise the limit",
                may_open=needed,
                processes=processes,
                of_a_process=of_a_process,
                used_by_others=found["others"],
                room=short,
            )
