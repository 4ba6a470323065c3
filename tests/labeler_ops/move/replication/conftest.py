"""Two servers that keep a logical log, as Railway's and one of our own are after the guide's first step."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from labeler_ops.database.upgrade import upgrade
from labeler_ops.stack.ports import free_port
from labeler_ops.stack.postgres import PostgresServer, find_install
from tests.fixtures.postgres import directory_of_data, restore
from tests.fixtures.sql import execute

# Durable settings would be the machine's disk at work, not ours; the log has to be a logical one.
SETTINGS = """
wal_level = logical
max_worker_processes = 24
max_logical_replication_workers = 16
max_sync_workers_per_subscription = 6
max_replication_slots = 50
max_wal_senders = 20
wal_retrieve_retry_interval = '100ms'
fsync = off
synchronous_commit = off
"""
PROJECT = """
    INSERT INTO datasets (id, name, owner_id, storage_path) VALUES ('ds_1', 'One', 2, 'datasets/ds_1/');
    INSERT INTO annotation_projects (id, name, dataset_id, owner_id) VALUES ('proj_1', 'One', 'ds_1', 2);
    INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, created_by)
    SELECT 'proj_1', n::text, 'bbox', 'detection', '{}', 2 FROM generate_series(1, 2000) n;
    CREATE TABLE keyless (n int, said text);
    INSERT INTO keyless SELECT n, 'first' FROM generate_series(1, 50) n;
"""

Execute = Callable[[str, str], Awaitable[None]]


@dataclass
class Servers:
    """Where the databases are made: the first has a template with the Labeler DB's schema and a project."""

    first: PostgresServer
    second: PostgresServer
    count: int = 0

    async def pair(self) -> tuple[str, str]:
        """A source with rows, and an empty target on the other server."""
        for server in (self.first, self.second):
            await restore(server)
        self.count += 1
        name = f"moved_{self.count}"
        await execute(self.first.dsn("postgres"), f"CREATE DATABASE {name} TEMPLATE labeler_template")
        await execute(self.second.dsn("postgres"), f"CREATE DATABASE {name} TEMPLATE template0")
        return self.first.dsn(name), self.second.dsn(name)


async def rows(dsn: str, sql: str, *args: object) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(sql, *args)]
    finally:
        await connection.close()


async def _server(directory: Path, *, major: int | None = None) -> PostgresServer:
    server = PostgresServer(find_install(os.environ, major=major), directory, free_port())
    await server.initialise()
    with (server.data_dir / "postgresql.conf").open("a") as file:
        file.write(SETTINGS)
    await server.start()
    return server


@pytest.fixture(scope="package")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    directory = directory_of_data(tmp_path_factory)
    first, second = await asyncio.gather(_server(directory / "first"), _server(directory / "second"))
    try:
        await execute(first.dsn("postgres"), "CREATE DATABASE labeler_template")
        await _fill(first.dsn("labeler_template"))
        yield Servers(first, second)
    finally:
        await first.stop()
        await second.stop()
        shutil.rmtree(directory)


@pytest.fixture
async def newer(tmp_path: Path) -> AsyncIterator[PostgresServer]:
    """A server of the next major version that a provider offers."""
    server = await _server(tmp_path / "newer", major=17)
    yield server
    await server.stop()


async def _fill(dsn: str) -> None:
    await upgrade(dsn)
    await execute(dsn, PROJECT)


@pytest.fixture
async def pair(servers: Servers) -> tuple[str, str]:
    return await servers.pair()
