"""Databases to move, and a second server that may be stopped, cut off, or run out of disk."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from labeler_ops.stack.postgres import PostgresServer
from tests.fixtures.postgres import DatabaseFactory, restore, temporary_server
from tests.fixtures.project_to_move import PROJECT
from tests.fixtures.sql import execute

_WAITING = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'labeler move' AND wait_event_type = 'Lock'"
_DEADLINE_SECONDS = 30.0
_LOOK_EVERY = 0.005


async def until_held_up(dsn: str) -> None:
    """Wait until a program of the tool waits for a lock: it is in the middle of its work, and stays there."""
    connection = await asyncpg.connect(dsn)
    try:
        async with asyncio.timeout(_DEADLINE_SECONDS):
            while not await connection.fetchval(_WAITING):  # noqa: ASYNC110 - another server's locks tell nobody
                await asyncio.sleep(_LOOK_EVERY)
    finally:
        await connection.close()


@pytest.fixture
async def source(labeler_dsn: str) -> str:
    """A Labeler DB with a project to annotate in."""
    await execute(labeler_dsn, PROJECT)
    return labeler_dsn


@pytest.fixture
async def target(create_database: DatabaseFactory) -> str:
    return await create_database()


@pytest.fixture(scope="package")
async def other_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PostgresServer]:
    """A server that only these tests use."""
    async with temporary_server(tmp_path_factory) as server:
        yield server


@pytest.fixture
async def elsewhere(other_server: PostgresServer) -> AsyncIterator[str]:
    """An empty database on the other server."""
    await restore(other_server)
    await execute(other_server.dsn("postgres"), "CREATE DATABASE moved TEMPLATE template0")
    yield other_server.dsn("moved")
    await restore(other_server)
    await execute(other_server.dsn("postgres"), "DROP DATABASE moved WITH (FORCE)")
