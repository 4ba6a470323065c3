"""The verifier is verified: faults are planted in a copy, one at a time, and each must be found and named."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from labeler_ops.database.verify import tables
from labeler_ops.database.verify.checksums import checksum
from labeler_ops.database.verify.run import verify
from labeler_ops.database.verify.session import opened
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
}


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
    report = await verify(source, target)
    assert report.lines() == []
    assert report.same
    assert report.rows == 1000 + 3000 + 500 + 1 + 2
    assert {table.name for table in report.tables} == {"things", "parts", "log", "archive.things", "kinds_1"}


async def test_rows_in_another_order_are_the_same(source: str, target: str) -> None:
    """A restored table keeps its rows, not their places."""
    await execute(
        target,
        "CREATE TEMP TABLE kept AS SELECT * FROM log; TRUNCATE log; INSERT INTO log SELECT * FROM kept ORDER BY 1",
    )
    await execute(target, "UPDATE things SET name = name WHERE id % 2 = 0")
    await execute(target, "VACUUM FULL things")
    assert (await verify(source, target)).lines() == []


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_is_found_and_named(source: str, target: str, fault: str) -> None:
    sql, said = FAULTS[fault]
    await execute(target, sql)
    report = await verify(source, target)
    assert not report.same
    assert any(said in line for line in report.lines()), report.lines()


async def test_every_fault_has_another_digest(source: str, target: str) -> None:
    before = await verify(source, target)
    again = await verify(source, target)
    await execute(target, FAULTS["a byte"][0])
    after = await verify(source, target)
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
