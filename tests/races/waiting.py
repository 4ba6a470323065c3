"""Until something has happened that has no event to wait for, mostly in the database."""

import asyncio
from collections.abc import Callable

from tests.fixtures.api import Api

_SECONDS = 30.0
_POLL_SECONDS = 0.01

# Statements that wait for a lock which another transaction holds.
_WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()
"""


async def until(api: Api, sql: str, *args: object) -> None:
    """Until the statement says true."""
    async with asyncio.timeout(_SECONDS):
        while True:
            async with api.db.read() as connection:
                if await connection.fetchval(sql, *args):
                    return
            await asyncio.sleep(_POLL_SECONDS)


async def waiting(api: Api, number: int = 1) -> None:
    """Until so many statements wait for a lock."""
    await until(api, f"SELECT ({_WAITING}) >= $1", number)


async def number_waiting(api: Api) -> int:
    """How many statements wait for a lock now."""
    async with api.db.read() as connection:
        number: int = await connection.fetchval(_WAITING)
    return number


async def gone(api: Api, pid: int) -> None:
    """Until the server's process of a connection has ended."""
    await until(api, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)", pid)


async def reached(condition: Callable[[], bool]) -> None:
    """Until what the test counts has come so far."""
    async with asyncio.timeout(_SECONDS):
        while not condition():  # noqa: ASYNC110 - several tasks count, and none of them knows for whom
            await asyncio.sleep(_POLL_SECONDS)
