"""Connections that processes may open, beside those that the server, the database and the role allow."""

import asyncio

import structlog

from labeler_api.db.connection_budget import BESIDE_THE_POOL, compared
from tests.fixtures.api import Api


async def told(api: Api, *, of_a_process: int, processes: int) -> list[dict[str, object]]:
    """What the log says of it."""
    with structlog.testing.capture_logs() as lines:
        async with compared(api.db, of_a_process=of_a_process, processes=processes):
            await asyncio.sleep(0.2)
    return [dict(line) for line in lines if "too few connections" in line["event"]]


async def test_what_fits_is_not_mentioned(api: Api) -> None:
    assert await told(api, of_a_process=5, processes=1) == []


async def test_more_than_the_server_has_is_told_with_the_numbers(api: Api) -> None:
    async with api.db.read() as connection:
        server = await connection.fetchval("SELECT current_setting('max_connections')::int")
    (line,) = await told(api, of_a_process=server, processes=2)
    assert line["may_open"] == 2 * (server + BESIDE_THE_POOL)
    assert line["processes"] == 2
    assert line["room"]["server"] <= server  # type: ignore[index]


async def test_the_limit_of_the_database_counts_too(api: Api) -> None:
    async with api.db.begin() as tx:
        name = await tx.fetchval("SELECT current_database()")
        await tx.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 7')
    assert await told(api, of_a_process=4, processes=1) == []
    (line,) = await told(api, of_a_process=5, processes=1)
    assert line["room"] == {"database": 7}
