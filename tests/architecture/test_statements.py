"""Every SQL statement of the API is accepted by the migrated schema, its names and types included."""

import importlib
import re
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from labeler_api.db import functions
from labeler_api.imports.staging import store as staging_store
from labeler_api.locks.image_locks import lease
from labeler_api.user_directory import organizations
from tests.architecture.source import ROOT, Module, modules
from tests.fixtures.platform import PlatformDb

VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


def _stores(*, of_the_platform: bool = False) -> list[Module]:
    """The modules that hold SQL: for the Labeler DB, or for the Platform DB."""
    stores = [module for module in modules("labeler_api") if module.feature and module.is_store]
    return [module for module in stores if (module.feature == "platform") == of_the_platform]


def _statements(module: Module) -> Iterator[tuple[str, str]]:
    for name, value in vars(importlib.import_module(module.name)).items():
        if name.isupper() and isinstance(value, str) and value.lstrip().startswith(VERBS):
            yield name, value


@pytest.fixture
async def connection(labeler_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(labeler_dsn)
    async with connection.transaction():
        await connection.execute(staging_store.MAKE)  # an import's statements are about tables of its transaction, too
        yield connection
    await connection.close()


@pytest.mark.parametrize("module", _stores(), ids=lambda module: module.where)
async def test_every_statement_can_be_prepared(connection: asyncpg.Connection, module: Module) -> None:
    await _prepare(connection, module)


@pytest.mark.parametrize("module", _stores(), ids=lambda module: module.where)
def test_counters_are_read_with_what_waits(module: Module) -> None:
    """A project's row alone does not say what it counts: see `projects/waiting_counters.py`."""
    for name, sql in _statements(module):
        reads = sql.lstrip().startswith(("SELECT", "WITH")) and "annotation_projects" in sql
        reads = reads and "INSERT INTO annotation_projects" not in sql  # nobody has changed a project that is made here
        if reads and re.search(r"\bp\.(revision|total_annotations|annotated_images)\b", sql):
            assert "project_changes" in sql, f"{module.where} {name}"


def test_one_condition_says_whether_a_lock_has_expired() -> None:
    """In the statements of the API. The functions that claim images compare for themselves: `lease.py` names them."""
    locks = [module for module in modules("labeler_api") if module.feature == "locks"]
    assert [module.where for module in locks if lease.LIVE in module.text] == [lease.__file__.removeprefix(f"{ROOT}/")]
    compare = re.compile(r"expires_at (?:[<>]=? v_now|[<>]=? clock_timestamp\(\))")
    claims = {name for name in functions.NAMES if name.startswith("claim_") and compare.search(functions.source(name))}
    assert claims
    assert [name for name in claims if name not in (lease.__doc__ or "")] == []


async def test_the_platforms_statements_can_be_prepared_by_its_reader(platform_db: PlatformDb) -> None:
    connection = await asyncpg.connect(platform_db.dsn)
    try:
        for module in _stores(of_the_platform=True):
            await _prepare(connection, module)
        await connection.prepare(organizations._NAME)
    finally:
        await connection.close()


async def _prepare(connection: asyncpg.Connection, module: Module) -> None:
    statements = list(_statements(module))
    assert statements, "a store without a named statement"
    for name, sql in statements:
        try:
            await connection.prepare(sql)
        except asyncpg.PostgresError as error:
            pytest.fail(f"{module.where} {name}: {error}")
