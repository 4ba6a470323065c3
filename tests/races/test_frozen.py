"""A process that freezes in the middle of a write, or whose machine vanishes: nobody waits for it for long."""

import asyncio

import pytest

from labeler_api.errors import Unavailable
from tests.fixtures.api import Api
from tests.races.waiting import gone


async def test_a_write_that_stands_still_is_ended_by_the_server(api: Api) -> None:
    made = await api.dataset(tasks=["detection"], images=1)
    lock = "SELECT FROM annotation_projects WHERE id = $1 FOR NO KEY UPDATE"
    touch = "UPDATE annotation_projects SET revision = revision + 1 WHERE id = $1"

    async def freeze() -> None:
        async with api.db.begin() as tx:
            assert await tx.fetchval("SHOW idle_in_transaction_session_timeout") == "15s"
            await tx.execute("SET LOCAL idle_in_transaction_session_timeout = '50ms'")
            await tx.execute(lock, made.project_id)
            await gone(api, await tx.fetchval("SELECT pg_backend_pid()"))
            await tx.execute(touch, made.project_id)

    with pytest.raises(Unavailable):
        await freeze()
    async with asyncio.timeout(10), api.db.begin() as tx:
        assert await tx.execute(touch, made.project_id) == 1
    async with api.db.read() as connection:
        assert await connection.fetchval("SELECT revision FROM annotation_projects WHERE id = $1", made.project_id) == 1


async def test_an_export_may_wait_for_its_reader(api: Api) -> None:
    """As long as an export may take, and no longer: a frozen one would keep dead rows for ever."""
    async with api.db.snapshot() as snapshot:
        assert await snapshot.fetchval("SHOW idle_in_transaction_session_timeout") == "10min"
