"""Moves from production's PostgreSQL 15 to 17, where a table has one more privilege: MAINTAIN."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from labeler_api.db.read_only_role import prove
from labeler_ops.database.roles import apply_roles
from labeler_ops.database.schema_check import check
from labeler_ops.errors import DatabaseError
from labeler_ops.move import move_report
from labeler_ops.stack.postgres import PostgresServer
from tests.fixtures.move_variables import variables
from tests.fixtures.platform import READER_PASSWORD
from tests.fixtures.postgres import DatabaseFactory, temporary_server
from tests.fixtures.sql import execute
from tests.labeler_ops.move.moving import begun, rows

_NEWER = 17
# The owner alone gets the new one: a dump spells all that others had.
_ROLES = "CREATE ROLE {p}_all; CREATE ROLE {p}_later"
_GRANTS = """
    GRANT ALL ON organizations TO {p}_all WITH GRANT OPTION; GRANT ALL ON workspaces TO PUBLIC, {p}_all;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO {p}_later;
    ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {p}_all WITH GRANT OPTION;
    SELECT setval('organizations_id_seq', 2), setval('workspaces_id_seq', 3);
"""
_GIVEN = """
    GRANT ALL ON annotations TO pg_monitor;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO pg_monitor;
"""


@pytest.fixture(scope="module")
async def newer_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PostgresServer]:
    async with temporary_server(tmp_path_factory, major=_NEWER) as server:
        yield server


@pytest.fixture
async def newer(newer_server: PostgresServer) -> str:
    """An empty database on it."""
    name = f"moved_{secrets.token_hex(3)}"
    await execute(newer_server.dsn("postgres"), f"CREATE DATABASE {name} TEMPLATE template0")
    return newer_server.dsn(name)


async def test_grants_of_the_platform_db_are_the_same_and_its_reader_cannot_write(
    create_database: DatabaseFactory,
    platform_template: str,
    newer: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LABELER_ROLE_PASSWORD", READER_PASSWORD)
    source = await create_database(platform_template)
    prefix = f"newer_{secrets.token_hex(3)}"
    for side in (source, newer):
        await execute(side, _ROLES.format(p=prefix))
    await execute(source, _GRANTS.format(p=prefix))
    move = begun(tmp_path, rows(source, newer), database="platform")
    await move.run_forward(until="copy")
    await execute(newer, f"GRANT MAINTAIN ON workspaces TO {prefix}_all")
    with pytest.raises(DatabaseError, match="the copy is not the same: 1 differences"):
        await move.run_forward()
    (found,) = move_report.read(move.run).differences
    assert found.startswith(f"grant workspaces to {prefix}_all: DELETE, INSERT, REFERENCES, ")
    assert found.endswith(
        "on the source, DELETE, INSERT, MAINTAIN, REFERENCES, SELECT, TRIGGER, TRUNCATE, UPDATE on the target"
    )
    await execute(newer, f"REVOKE MAINTAIN ON workspaces FROM {prefix}_all")
    await move.run_forward()
    await execute(newer, "GRANT ALL ON workspaces TO PUBLIC")  # as somebody may later, and then gives the roles again
    await apply_roles(newer, "platform")
    reader = await asyncpg.connect(variables(move.run.path("environment.new"))["PLATFORM_DB_URL"])
    try:
        assert await reader.fetchval("SELECT count(*) FROM workspaces") == 3
        await prove(reader)
    finally:
        await reader.close()


async def test_the_labeler_db_belongs_to_the_role_that_serves(
    source: str, newer: str, create_database: DatabaseFactory, tmp_path: Path
) -> None:
    await execute(source, _GIVEN)
    move = begun(tmp_path, rows(source, newer))
    await move.run_forward()
    # It is said before anything is done: once users write there, their rows do not fit into the source's server.
    versions = next(found for found in (move.run.ended("check") or {})["findings"] if found["name"] == "versions")
    assert f"ROLLBACK_DATABASE_URL has to lead to a server of {_NEWER} or newer" in versions["text"]
    await move.open()
    url = variables(move.run.path("environment.new"))["LABELER_DB_URL"]
    connection = await asyncpg.connect(url)
    try:
        assert connection.get_server_version().major == _NEWER
        assert await connection.fetchval("SELECT has_table_privilege('pg_monitor', 'annotations', 'DELETE')")
        await connection.execute("UPDATE annotations SET notes = 'served' WHERE id = 7")
    finally:
        await connection.close()
    assert await check(url) == []
    with pytest.raises(DatabaseError, match=f"older major version; give a server of {_NEWER} or newer"):
        await move.rollback(await create_database())
