"""After a move the database belongs to the role that serves, and the new environment names that role."""

from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from labeler_ops.database.check import check
from labeler_ops.move.rows import ownership
from tests.fixtures.move_variables import variables
from tests.fixtures.sql import execute
from tests.labeler_ops.move.moving import begun, rows

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
    await move.go()
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
    assert await ownership.served(plain) == plain


async def test_services_are_given_the_private_address(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ownership.PRIVATE, "postgres.railway.internal:5432")
    parts = urlsplit(await ownership.served(target))
    assert parts.username == "labeler"
    assert parts.hostname == "postgres.railway.internal"
    assert parts.port == 5432
    assert parts.path == urlsplit(target).path
