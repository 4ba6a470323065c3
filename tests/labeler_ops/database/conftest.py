"""Databases in production's state: built from its description, with rows in its shape, with every hazard."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.fixtures.postgres import DatabaseFactory

HERE = Path(__file__).parent
LEGACY_TABLES = (
    "datasets",
    "dataset_permissions",
    "annotation_projects",
    "project_permissions",
    "image_metadata",
    "annotations",
    "annotation_history",
    "image_annotation_status",
    "image_locks",
    "annotation_versions",
    "annotation_snapshots",
    "invitations",
    "annotation_tasks",
    "comments",
)

RunSql = Callable[..., Awaitable[list[asyncpg.Record]]]


async def run_sql(dsn: str, *statements: str) -> list[asyncpg.Record]:
    """Execute statements in one connection; the rows of the last one."""
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetch(statements[-1])
    finally:
        await connection.close()


async def _template(create_database: DatabaseFactory, *files: str) -> str:
    dsn = await create_database()
    await run_sql(dsn, *((HERE / file).read_text() for file in files), "SELECT")
    return urlsplit(dsn).path.removeprefix("/")


@pytest.fixture(scope="session")
async def production_template(create_database: DatabaseFactory) -> str:
    return await _template(create_database, "production.sql", "production_rows.sql")


@pytest.fixture(scope="session")
async def hazards_template(create_database: DatabaseFactory) -> str:
    return await _template(create_database, "production.sql", "production_rows.sql", "hazards.sql")


@pytest.fixture
async def production_dsn(create_database: DatabaseFactory, production_template: str) -> AsyncIterator[str]:
    """A database as production is today, without anything odd but its orphans."""
    dsn = await create_database(production_template)
    yield dsn
    await create_database.drop(dsn)


@pytest.fixture
async def hazards_dsn(create_database: DatabaseFactory, hazards_template: str) -> AsyncIterator[str]:
    """The same with one of everything that breaks a rule."""
    dsn = await create_database(hazards_template)
    yield dsn
    await create_database.drop(dsn)


@pytest.fixture
async def empty_dsn(create_database: DatabaseFactory) -> AsyncIterator[str]:
    dsn = await create_database()
    yield dsn
    await create_database.drop(dsn)
