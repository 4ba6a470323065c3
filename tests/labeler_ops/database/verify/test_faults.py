"""The verifier is verified: faults are planted in a copy, one at a time, and each must be found and named."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from labeler_ops.database.verify import tables
from labeler_ops.database.verify.checksums import checksum
from labeler_ops.database.verify.equality import compare_databases
from labeler_ops.database.verify.session import opened
from labeler_ops.database.verify.structure import Roles
from tests.fixtures.postgres import DatabaseFactory

SHAPES = Path(__file__).with_name("shapes.sql")
Execute = Callable[[str], Awaitable[None]]

# SQL of the fault -> what the report must say.
FAULTS = {
    "a byte": ("UPDATE things SET raw = set_byte(raw, 3, 0) WHERE id = 500", "table things: (500) differs (raw:"),
    "a row missing": ("DELETE FROM parts WHERE thing_id = 7 AND position = 2", "parts: (7,2) is missing on the target"),
    "a row too many": ("INSERT INTO parts VALUES (7, 4, 'x')", "table parts: (7,4) is only on the target"),
    "a pair of rows swapped": (
        "UPDATE things a SET name = b.name FROM things b WHERE (a.id, b.id) IN ((10, 11), (11, 10))",
        "table things: (10) differs (name: thing 10 -> thing 11)",
    ),
    "NULL for an empty text": ("UPDATE things SET note = NULL WHERE note = '' AND id = 1", "note:  -> NULL"),
    "a space at the end": ("UPDATE things SET name = name || ' ' WHERE id = 3", "table things: (3) differs (name:"),
    "an accent composed in another way": ("UPDATE things SET note = normalize(note, NFD) WHERE id = 2", "(2) differs"),
    "a float's last digit": (
        "UPDATE things SET weight = weight + 1.4210854715202004e-14 WHERE id = 999",
        "table things: (999) differs (weight: 99.9",
    ),
    "a price of another scale": (
        "ALTER TABLE things ALTER price TYPE numeric(10, 3)",
        "column things.price: numeric(10,2) on the source, numeric(10,3) on the target",
    ),
    "a time by a microsecond": (
        "UPDATE things SET seen_at = seen_at + interval '1 us' WHERE id = 12",
        "table things: (12) differs (seen_at:",
    ),
    "times in another zone": ("UPDATE things SET seen_at = seen_at + interval '9 h'", "and at least 900 more"),
    "the database's zone": ("ALTER DATABASE {database} SET TimeZone = 'Asia/Seoul'", "setting TimeZone is only on"),
    "a JSON value of another type": (
        'UPDATE things SET facts = \'{{"n": "1", "a": "x"}}\' WHERE id = 1',
        "table things: (1) differs (facts:",
    ),
    "an element of an array": ("UPDATE things SET tags[2] = 'NULL' WHERE id = 4", "table things: (4) differs (tags:"),
    "a row of a table without a key": (
        "DELETE FROM log WHERE ctid = (SELECT ctid FROM log WHERE line = 'line 3' LIMIT 1)",
        "on the source,",
    ),
    "a row of a table without a key twice": (
        "INSERT INTO log SELECT * FROM log LIMIT 1",
        "times on the source,",
    ),
    "a row in another schema": ("UPDATE archive.things SET name = 'new'", "table archive.things: (1) differs"),
    "a row in another partition": ("DELETE FROM kinds WHERE id = 2", "table kinds_1: (2) is missing"),
    "an emptied table": ("TRUNCATE parts", "table parts: 3000 rows on the source, 0 on the target"),
    "a sequence behind": ("SELECT setval('things_id_seq', 400)", "the target would give 401, and holds 1000 already"),
    "a sequence ahead": ("SELECT setval('things_id_seq', 2000)", "gives 1001 next on the source, 2001 on the target"),
    "a sequence that was not called": ("SELECT setval('tickets', 100, false)", "sequence tickets: gives 99 next"),
    "a sequence's step": ("ALTER SEQUENCE tickets INCREMENT -2", "sequence tickets: type bigint, start 100, step -1"),
    "an index dropped": ("DROP INDEX things_name", "index things_name is missing on the target"),
    "an index's condition": (
        "DROP INDEX things_busy; CREATE UNIQUE INDEX things_busy ON things (name) WHERE mood = 'lost'",
        "index things_busy:",
    ),
    "an index that is invalid": (
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'things_name'::regclass",
        "(invalid) on the target",
    ),
    "a constraint dropped": (
        "ALTER TABLE things DROP CONSTRAINT name_given",
        "constraint things.name_given is missing",
    ),
    "a constraint not validated": (
        "ALTER TABLE parts DROP CONSTRAINT parts_thing_id_fkey, ADD CONSTRAINT parts_thing_id_fkey"
        " FOREIGN KEY (thing_id) REFERENCES things ON DELETE CASCADE NOT VALID",
        "(not validated) on the target",
    ),
    "a value that a check allows": (
        "ALTER TABLE things DROP CONSTRAINT things_state_check,"
        " ADD CONSTRAINT things_state_check CHECK (state IN ('new', 'gone', 'it''s])over'))",
        "constraint things.things_state_check:",
    ),
    "a foreign key's action": (
        "ALTER TABLE parts DROP CONSTRAINT parts_thing_id_fkey, ADD CONSTRAINT parts_thing_id_fkey"
        " FOREIGN KEY (thing_id) REFERENCES things",
        "constraint parts.parts_thing_id_fkey:",
    ),
    "a default": ("ALTER TABLE things ALTER mood SET DEFAULT 'busy'", "column things.mood:"),
    "NOT NULL": ("ALTER TABLE things ALTER name DROP NOT NULL", "column things.name: text NOT NULL on the source"),
    "a column's type": ("ALTER TABLE archive.things ALTER id TYPE bigint", "column archive.things.id: integer"),
    "a column's collation": ('ALTER TABLE log ALTER line TYPE text COLLATE "C"', "column log.line:"),
    "a column dropped": ("ALTER TABLE things DROP note", "column things.note is missing on the target"),
    "an enum's value": ("ALTER TYPE mood ADD VALUE 'glad'", "type mood: enum calm, busy, lost on the source"),
    "an enum's order": ("ALTER TYPE mood ADD VALUE 'glad' BEFORE 'busy'", "enum calm, glad, busy, lost on the target"),
    "a domain's default": ("ALTER DOMAIN percent SET DEFAULT 1", "type percent: domain integer DEFAULT 0"),
    "a trigger disabled": ("ALTER TABLE things DISABLE TRIGGER touched", "trigger things.touched:"),
    "a function's body": (
        "CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
        "function touch():",
    ),
    "a view": ("CREATE OR REPLACE VIEW heavy AS SELECT id FROM things WHERE weight > 11", "view heavy:"),
    "a policy": ("DROP POLICY everybody ON archive.things", "policy archive.things.everybody is missing"),
    "row security": ("ALTER TABLE archive.things DISABLE ROW LEVEL SECURITY", "relation archive.things:"),
    "a comment": ("COMMENT ON COLUMN things.weight IS 'grams'", "comment things.weight: kilograms on the source"),
    "an extension": ("DROP EXTENSION pg_trgm", "extension pg_trgm is missing on the target"),
    "a table more": ("CREATE TABLE more (id int)", "relation more is only on the target"),
    "a large object": ("SELECT lo_put(70001, 0, '\\x01')", "large object 70001:"),
    "a grant": ("REVOKE SELECT ON things FROM pg_monitor", "grant things to pg_monitor is missing on the target"),
    "a grant of a column": (
        "REVOKE GRANT OPTION FOR UPDATE (note) ON things FROM pg_monitor",
        "grant things.note to pg_monitor: UPDATE* on the source, UPDATE on the target",
    ),
    "a grant to everybody": (
        "GRANT INSERT ON things TO PUBLIC",
        "grant things to PUBLIC is only on the target (INSERT)",
    ),
    "what everybody may execute": (
        "REVOKE EXECUTE ON FUNCTION twice FROM PUBLIC",
        "grant function public.twice(integer) to PUBLIC is missing on the target (source: EXECUTE)",
    ),
    "a grant of the database": (
        "REVOKE CONNECT ON DATABASE {database} FROM PUBLIC",
        "grant database to PUBLIC: CONNECT, TEMPORARY on the source, TEMPORARY on the target",
    ),
    "a table's owner": ("ALTER TABLE parts OWNER TO pg_monitor", "owner parts: "),
    "a function's owner": (
        "ALTER FUNCTION touch() OWNER TO pg_checkpoint",
        "owner function public.touch(): pg_mon",
    ),
    "a schema's owner": ("ALTER SCHEMA archive OWNER TO pg_monitor", "owner schema archive: "),
    "a default privilege": (
        "ALTER DEFAULT PRIVILEGES IN SCHEMA archive REVOKE SELECT ON TABLES FROM pg_monitor",
        "in archive on tables to pg_monitor is missing on the target (source: SELECT)",
    ),
    "a default privilege taken from everybody": (
        "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
        "on functions to",
    ),
    "a setting of a role": (
        "ALTER ROLE CURRENT_USER IN DATABASE {database} SET work_mem = '9MB'",
        "role setting labeler_admin.work_mem is only on the target (9MB)",
    ),
    "a domain's check": (
        "ALTER DOMAIN percent DROP CONSTRAINT percent_check",
        "constraint percent.percent_check is missing on the target",
    ),
    "a domain's NOT NULL": (
        "ALTER DOMAIN percent SET NOT NULL",
        "type percent: domain integer DEFAULT 0",
    ),
    "a policy's roles": (
        "ALTER POLICY watched ON archive.things TO PUBLIC",
        "policy archive.things.watched: r true true for pg_monitor on the source, r true true for PUBLIC on the target",
    ),
    "a composite type": (
        "ALTER TYPE place ALTER ATTRIBUTE y TYPE int",
        "type place: composite x double precision, y double precision on the source",
    ),
    "a range type": ("DROP TYPE span", "type span is missing on the target (source: range of double precision)"),
    "a rule": ("DROP RULE kept ON archive.things", "rule archive.things.kept is missing on the target"),
    "a rule disabled": ("ALTER TABLE archive.things DISABLE RULE kept", "rule archive.things.kept:"),
    "extended statistics": ("DROP STATISTICS together", "statistics together is missing on the target"),
    "extended statistics' kinds": (
        "DROP STATISTICS together; CREATE STATISTICS together (ndistinct) ON name, note FROM things",
        "statistics together: ",
    ),
    "whose rights a view asks with": ("ALTER VIEW asked RESET (security_invoker)", "view asked:  SELECT"),
    "an aggregate": (
        "CREATE OR REPLACE AGGREGATE longest(int) (SFUNC = int4smaller, STYPE = int, INITCOND = '0')",
        "function longest(integer): aggregate n int4larger",
    ),
    "an aggregate's start": (
        "CREATE OR REPLACE AGGREGATE longest(int) (SFUNC = int4larger, STYPE = int, INITCOND = '7')",
        "start 7",
    ),
    "a function's comment": (
        "COMMENT ON FUNCTION twice(int) IS NULL",
        "comment function public.twice(integer) is",
    ),
    "a schema's comment": ("COMMENT ON SCHEMA archive IS 'other'", "comment schema archive: what was on the source"),
    "a constraint's comment": (
        "COMMENT ON CONSTRAINT name_given ON things IS 'x'",
        "comment table constraint name_given on public.things: a name is given on the source, x on the target",
    ),
    "replica identity": ("ALTER TABLE log REPLICA IDENTITY FULL", "replica identity log is only on the target (full)"),
    "replica identity by an index": (
        "ALTER TABLE parts REPLICA IDENTITY USING INDEX parts_pkey",
        "replica identity parts is only on the target (index public.parts_pkey)",
    ),
    "a column's storage": (
        "ALTER TABLE things ALTER note SET STORAGE EXTERNAL",
        "column things.note: text on the source, text STORAGE external on the target",
    ),
    "a column's statistics": ("ALTER TABLE things ALTER note SET STATISTICS 500", "text STATISTICS 500 on the target"),
    "a materialized view's rows": (
        "UPDATE things SET mood = 'busy' WHERE id = 2; REFRESH MATERIALIZED VIEW counted;"
        " UPDATE things SET mood = 'lost' WHERE id = 2",
        "table counted: 3 rows on the source, 3 on the target, not the same",
    ),
    "a materialized view without rows": (
        "REFRESH MATERIALIZED VIEW counted WITH NO DATA",
        "(not populated) on the target",
    ),
    "a cast": ("DROP CAST (int AS mood)", "cast integer AS public.mood is missing on the target"),
    "a cast's context": (
        "DROP CAST (int AS mood); CREATE CAST (int AS mood) WITH FUNCTION as_mood(int) AS ASSIGNMENT",
        "cast integer AS public.mood: f e public.as_mood(integer) on the source",
    ),
    "a text search configuration": (
        "ALTER TEXT SEARCH CONFIGURATION search ALTER MAPPING FOR asciiword WITH words",
        "text search configuration search: default: ",
    ),
    "a text search dictionary": (
        "ALTER TEXT SEARCH DICTIONARY words (accept = true)",
        "text search dictionary words: ",
    ),
    "a collation": (
        "DROP COLLATION spoken; CREATE COLLATION spoken (provider = icu, locale = 'en')",
        "collation spoken: icu ko on the source, icu en on the target",
    ),
    "an operator": ("DROP OPERATOR === (int, int)", "object operator public.===(integer,integer) is missing"),
    "an event trigger": (
        "CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
        " CREATE EVENT TRIGGER watching ON sql_drop EXECUTE FUNCTION watch()",
        "event trigger watching is only on the target",
    ),
    "a list among the database's settings": (
        "ALTER DATABASE {database} SET search_path = archive, public",
        "setting search_path is only on the target (archive, public)",
    ),
}

# What another name of the role `pg_monitor` changes.
RENAMED = (
    "ALTER FUNCTION touch() OWNER TO pg_checkpoint",
    "REVOKE SELECT ON things FROM pg_monitor; GRANT SELECT ON things TO pg_checkpoint",
    "REVOKE UPDATE (note) ON things FROM pg_monitor; GRANT UPDATE (note) ON things TO pg_checkpoint WITH GRANT OPTION",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA archive REVOKE SELECT ON TABLES FROM pg_monitor",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA archive GRANT SELECT ON TABLES TO pg_checkpoint",
    "ALTER POLICY watched ON archive.things TO pg_checkpoint",
)


@pytest.fixture(scope="module")
async def source(create_database: DatabaseFactory) -> str:
    dsn = await create_database()
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(SHAPES.read_text())
        # Copies are cloned from it: statistics and hint bits are written once, here.
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
    return dsn


@pytest.fixture
async def target(create_database: DatabaseFactory, source: str) -> str:
    return await create_database(urlsplit(source).path.removeprefix("/"))


async def execute(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql.format(database=urlsplit(dsn).path.removeprefix("/")))
    finally:
        await connection.close()


async def test_a_copy_is_the_same(source: str, target: str) -> None:
    report = await compare_databases(source, target, roles=Roles())
    assert report.lines() == []
    assert report.same
    assert report.rows == 1000 + 3000 + 500 + 1 + 2 + 3
    assert {table.name for table in report.tables} == {"things", "parts", "log", "archive.things", "kinds_1", "counted"}


async def test_rows_in_another_order_are_the_same(source: str, target: str) -> None:
    """A restored table keeps its rows, not their places."""
    await execute(
        target,
        "CREATE TEMP TABLE kept AS SELECT * FROM log; TRUNCATE log; INSERT INTO log SELECT * FROM kept ORDER BY 1",
    )
    await execute(target, "UPDATE things SET name = name WHERE id % 2 = 0")
    await execute(target, "VACUUM FULL things")
    assert (await compare_databases(source, target)).lines() == []


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_is_found_and_named(source: str, target: str, fault: str) -> None:
    sql, said = FAULTS[fault]
    await execute(target, sql)
    report = await compare_databases(source, target, roles=Roles())
    assert not report.same
    assert any(said in line for line in report.lines()), report.lines()


async def test_owners_and_grants_are_compared_when_it_is_said_what_is_expected(source: str, target: str) -> None:
    """A copy may be made without them, and its roles may have other names."""
    for statement in RENAMED:
        await execute(target, statement)
    said = "\n".join((await compare_databases(source, target)).lines())
    assert "owner" not in said
    assert "grant" not in said
    assert "policy archive.things.watched" in said, "a policy is no grant: nothing can be copied without its roles"
    said = "\n".join((await compare_databases(source, target, roles=Roles())).lines())
    assert "owner function public.touch(): pg_monitor on the source, pg_checkpoint on the target" in said
    renamed = await compare_databases(source, target, roles=Roles({"pg_monitor": "pg_checkpoint"}))
    assert renamed.lines() == []


async def test_every_fault_has_another_digest(source: str, target: str) -> None:
    before = await compare_databases(source, target)
    again = await compare_databases(source, target)
    await execute(target, FAULTS["a byte"][0])
    after = await compare_databases(source, target)
    assert before.digest == again.digest != after.digest


async def test_a_side_that_is_written_to_is_read_as_of_one_moment(target: str) -> None:
    """Each connection of a side sees the same rows, whatever is committed meanwhile."""
    async with opened("source", target, connections=3) as side:
        (table,) = [one for one in await tables.read(side) if one.title == "parts"]
        before = await checksum(side, table, lambda _blocks: None)
        await execute(target, "DELETE FROM parts WHERE position = 1")
        after = [await checksum(side, table, lambda _blocks: None) for _ in range(3)]
    assert after == [before] * 3
    assert before.rows == 3000
