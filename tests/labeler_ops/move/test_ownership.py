"""After a move the database belongs to the role that serves, and the new environment names that role."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from labeler_api.db.pool import Database, PoolOptions
from labeler_api.telemetry.instruments import Instruments
from labeler_ops.database.schema_check import check
from labeler_ops.errors import DatabaseError
from labeler_ops.move.rows import ownership
from labeler_ops.stack.postgres import PostgresServer
from tests.fixtures.move_variables import variables
from tests.fixtures.pgbouncer import pooling
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.sql import execute
from tests.fixtures.users import READER_PASSWORD, UsersDatabase
from tests.labeler_ops.move.moving import begun, lines, rows, through

_NOT_OURS = """
    SELECT array_agg(c.relname::text) FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'S', 'v') AND c.relowner <> 'labeler'::regrole
"""
_PLAIN = "SELECT NOT (rolsuper OR rolcreaterole OR rolcreatedb) FROM pg_roles WHERE rolname = current_user"


# What an analyst was given on the source, and what everybody was not.
_GIVEN = """
    GRANT SELECT ON annotations TO pg_monitor; GRANT UPDATE (notes) ON annotations TO pg_monitor WITH GRANT OPTION;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO pg_monitor;
    CREATE FUNCTION secret() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE EXECUTE ON FUNCTION secret() FROM PUBLIC;
    CREATE AGGREGATE longest(int) (SFUNC = int4larger, STYPE = int, INITCOND = '0');
"""
_MAY = """
    SELECT ARRAY[has_table_privilege('pg_monitor', 'annotations', 'SELECT'),
                 has_column_privilege('pg_monitor', 'annotations', 'notes', 'UPDATE WITH GRANT OPTION'),
                 has_table_privilege('pg_monitor', 'later', 'SELECT'),
                 has_database_privilege('pg_monitor', current_database(), 'CONNECT'),
                 has_table_privilege('pg_monitor', 'annotations', 'DELETE'),
                 has_function_privilege('pg_monitor', 'secret()', 'EXECUTE')]
"""


async def test_the_role_that_serves_owns_the_tables_and_may_no_more(source: str, target: str, tmp_path: Path) -> None:
    """Others may do what they might on the source, with tables that are made later as well."""
    await execute(source, _GIVEN)
    move = begun(tmp_path, rows(source, target))
    await move.run_forward()
    await move.open()
    url = variables(move.run.path("environment.new"))["LABELER_DB_URL"]
    connection = await asyncpg.connect(url)
    try:
        assert await connection.fetchval(_NOT_OURS) is None
        assert await connection.fetchval(_PLAIN) is True
        await connection.execute("UPDATE annotations SET notes = 'served' WHERE id = 7")
        await connection.execute(
            "ALTER TABLE annotations ADD COLUMN later int; ALTER TABLE annotations DROP COLUMN later"
        )
        await connection.execute("CREATE TABLE later (id int)")
        assert await connection.fetchval(_MAY) == [True, True, True, True, False, False]
        await connection.execute("DROP TABLE later; DROP AGGREGATE longest(int)")
    finally:
        await connection.close()
    assert await check(url) == []


async def test_a_plain_role_that_moves_keeps_what_it_made(target: str) -> None:
    name = target.rpartition("/")[2]
    await execute(target, f"CREATE ROLE moves_plain LOGIN PASSWORD 'plain'; ALTER DATABASE {name} OWNER TO moves_plain")
    plain = f"postgresql://moves_plain:plain@{target.partition('@')[2]}"
    assert (await ownership.served(plain))["LABELER_DB_URL"] == plain


async def test_services_are_given_the_private_address(target: str) -> None:
    served = await ownership.served(target, "postgres.railway.internal:5432")
    parts = urlsplit(served.pop("LABELER_DB_URL"))
    assert parts.username == "labeler"
    assert parts.hostname == "postgres.railway.internal"
    assert parts.port == 5432
    assert parts.path == urlsplit(target).path
    assert served == {"DB_STATEMENT_CACHE": "true", "LABELER_DB_UNPOOLED_URL": ""}  # what was set before is so no more


async def test_services_that_come_through_a_pooler_know_the_way_past_it(
    source: str, target: str, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API starts with what a move wrote, and the way back takes it away again."""
    monkeypatch.setenv("LABELER_ROLE_PASSWORD", "serves")
    async with pooling(postgres.port, {"labeler": "serves"}, tmp_path) as pooler:
        monkeypatch.setenv(ownership.PRIVATE, pooler)
        move = begun(tmp_path, rows(source, target))
        await move.run_forward()
        written = variables(move.run.path("environment.new"))
        there = target.rpartition("@")[2]
        assert urlsplit(written["LABELER_DB_URL"]).netloc == f"labeler:serves@{pooler}"
        assert written["DB_STATEMENT_CACHE"] == "false"
        assert written["LABELER_DB_UNPOOLED_URL"] == f"postgresql://labeler:serves@{there}"
        options = PoolOptions(min_size=1, max_size=1, acquire_seconds=10, statement_cache=False)
        db = await Database.connect(written["LABELER_DB_URL"], options, Instruments())
        await db.close()
        await move.rollback()
    assert variables(move.run.path("environment.rollback")) == {
        "LABELER_DB_URL": source,
        "DB_STATEMENT_CACHE": "true",
        "LABELER_DB_UNPOOLED_URL": "",
    }
    assert any("a superuser's: give the services the URL that they had before" in line for line in lines(move))


async def test_the_private_address_is_not_that_of_the_way_back(
    source: str, target: str, create_database: DatabaseFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ownership.PRIVATE, "postgres.railway.internal:5432")
    move = begun(tmp_path, rows(source, target))
    await through(move)
    await move.rollback(back := await create_database())
    url = urlsplit(variables(move.run.path("environment.rollback"))["LABELER_DB_URL"])
    assert url.hostname == "127.0.0.1"
    assert url.port == urlsplit(back).port
    assert url.path == urlsplit(back).path


async def test_a_pooler_before_the_user_db_is_refused(
    clone_users: Callable[[], Awaitable[UsersDatabase]],
    target: str,
    postgres: PostgresServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The gateway proves that it cannot write when a connection begins, which no pooler passes on."""
    monkeypatch.setenv("LABELER_ROLE_PASSWORD", READER_PASSWORD)
    users = await clone_users()
    async with pooling(postgres.port, {"user_readonly": READER_PASSWORD}, tmp_path) as pooler:
        monkeypatch.setenv(ownership.PRIVATE, pooler)
        move = begun(tmp_path, rows(users.admin_dsn, target), database="users")
        with pytest.raises(DatabaseError, match="TARGET_PRIVATE_ADDRESS leads to a pooler"):
            await move.run_forward()
    monkeypatch.delenv(ownership.PRIVATE)
    await move.run_forward()
