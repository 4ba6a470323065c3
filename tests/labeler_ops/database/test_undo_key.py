"""The index of what an undo looks for: built on the largest table while everybody writes to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from labeler_api.migrations import DIRECTORY
from labeler_api.migrations.engine import engine
from labeler_ops.database.schema_check import check
from labeler_ops.database.upgrade import upgrade
from labeler_ops.errors import DatabaseError
from tests.fixtures.production import run_sql

_BEFORE = "20261129_1630"
_BUILDS = """
    SELECT EXISTS (
        SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'CREATE INDEX CONCURRENTLY%' AND wait_event = 'virtualxid'
    )
"""
_CUT_OFF = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'labeler-migrations'
"""
_FILL = (
    "INSERT INTO datasets (id, name, owner_id, storage_path) VALUES ('ds_1', 'x', 2, 'x')",
    "INSERT INTO annotation_projects (id, name, dataset_id, owner_id, task_types, task_config, task_classes)"
    " VALUES ('proj_1', 'x', 'ds_1', 2, '{detection}', '{}', '{}')",
)
_WRITE = (
    "INSERT INTO annotation_history (annotation_id, project_id, image_id, action, changed_by)"
    " VALUES (1, 'proj_1', 'a', 'create', 2)"
)


async def go_to(dsn: str, revision: str) -> None:
    def migrate(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(DIRECTORY))
        config.set_main_option("path_separator", "os")
        config.attributes.update(connection=connection)
        command.upgrade(config, revision)

    database = engine(dsn)
    async with database.connect() as connection:
        await connection.run_sync(migrate)
    await database.dispose()


@asynccontextmanager
async def building(dsn: str) -> AsyncIterator[tuple[asyncio.Task[object], asyncpg.Connection]]:
    """An upgrade that builds the index and waits for a transaction that is open; it ends with the block."""
    await go_to(dsn, _BEFORE)
    await run_sql(dsn, *_FILL)
    export, person = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    await export.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM datasets")
    upgrading: asyncio.Task[object] = asyncio.create_task(upgrade(dsn))
    try:
        while not await person.fetchval(_BUILDS):
            assert not upgrading.done(), "nobody had to be waited for"
            await asyncio.sleep(0.02)
        yield upgrading, person
    finally:
        export.terminate()
        await asyncio.gather(upgrading, return_exceptions=True)
        await person.close()


async def test_nobody_waits_for_the_index(empty_dsn: str) -> None:
    async with building(empty_dsn) as (upgrading, person):
        await person.execute("SET lock_timeout = '10s'")
        await person.execute(_WRITE)
        assert await person.fetchval("SELECT count(*) FROM annotation_history") == 1
        assert not upgrading.done()
    await upgrading
    assert await check(empty_dsn) == []


async def test_an_index_that_was_cut_off_is_built_anew(empty_dsn: str) -> None:
    async with building(empty_dsn) as (upgrading, person):
        await person.execute(_CUT_OFF)
        with pytest.raises(DatabaseError):
            await upgrading
    assert await run_sql(empty_dsn, "SELECT FROM pg_index WHERE NOT indisvalid")
    await upgrade(empty_dsn)
    assert not await run_sql(empty_dsn, "SELECT FROM pg_index WHERE NOT indisvalid")
    assert await check(empty_dsn) == []
