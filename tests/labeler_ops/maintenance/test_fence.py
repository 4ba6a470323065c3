"""The fence: nobody writes, everybody reads, the last write before it is kept, and it goes away without a trace."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest

from labeler_ops.errors import DatabaseError
from labeler_ops.maintenance import fence
from tests.fixtures.postgres import DatabaseFactory, temporary_server
from tests.fixtures.waiting import until

Connect = Callable[[], Awaitable["asyncpg.Connection[asyncpg.Record]"]]

SCHEMA = """
    CREATE TABLE maintenance (only_row boolean PRIMARY KEY DEFAULT true, mode varchar(10) NOT NULL DEFAULT 'off',
                              reason text, changed_by varchar(200), since timestamptz NOT NULL DEFAULT now());
    CREATE TABLE parents (id bigserial PRIMARY KEY, n int);
    CREATE TABLE children (id bigserial PRIMARY KEY, parent_id bigint REFERENCES parents ON DELETE CASCADE);
    CREATE TABLE split (id int) PARTITION BY LIST (id);
    CREATE TABLE split_1 PARTITION OF split FOR VALUES IN (1);
    INSERT INTO parents (n) VALUES (1), (2);
"""
WRITES = (
    "INSERT INTO parents (n) VALUES (3)",
    "UPDATE parents SET n = 0",
    "UPDATE parents SET n = 0 WHERE false",
    "DELETE FROM parents",
    "TRUNCATE children",
    "INSERT INTO split VALUES (1)",
    "COPY parents (n) FROM STDIN",
    "SET session_replication_role = replica; UPDATE parents SET n = 0",
)


# As if a function of an extension had the number of a table: numbers of objects are those of one catalog.
SAME_NUMBER = """
    SET allow_system_table_mods = on;
    INSERT INTO pg_depend (classid, objid, objsubid, refclassid, refobjid, refobjsubid, deptype)
    SELECT 'pg_proc'::regclass, 'parents'::regclass, 0, 'pg_extension'::regclass, oid, 0, 'e' FROM pg_extension
"""


@pytest.fixture
async def url(create_database: DatabaseFactory) -> str:
    dsn = await create_database()
    async with connected(dsn) as connection:
        await connection.execute(SCHEMA)
    return dsn


@asynccontextmanager
async def connected(dsn: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def test_nobody_writes_and_everybody_reads(url: str) -> None:
    state = await fence.on(url, reason="The move.", by="me")
    assert state.mode == "on"
    assert state.reason == "The move."
    assert state.changed_by == "me"
    assert state.stands is True
    async with connected(url) as connection:
        for sql in WRITES:
            with pytest.raises(asyncpg.PostgresError) as raised:
                await connection.execute(sql)
            assert raised.value.sqlstate == fence.SQLSTATE, sql
            await connection.execute("RESET session_replication_role")
        assert await connection.fetchval("SELECT count(*) FROM parents") == 2


async def test_it_goes_away_without_a_trace(url: str) -> None:
    before = await definitions(url)
    await fence.on(url, reason="x", by="me")
    state = await fence.off(url, by="you")
    assert state.mode == "off"
    assert state.reason is None
    assert state.changed_by == "you"
    assert state.fenced == 0
    assert await definitions(url) == before
    async with connected(url) as connection:
        await connection.execute("INSERT INTO parents (n) VALUES (3)")


async def test_both_are_safe_to_repeat(url: str) -> None:
    first = await fence.on(url, reason="x", by="me")
    again = await fence.on(url, reason="x", by="me")
    assert again.stands
    assert again.since == first.since
    await fence.off(url, by="me")
    assert (await fence.off(url, by="me")).fenced == 0


async def test_it_waits_for_the_writers_that_are_at_work(url: str) -> None:
    """What was begun before is committed before the fence stands: nothing is cut in two."""
    async with connected(url) as writer:
        transaction = writer.transaction()
        await transaction.start()
        await writer.execute("INSERT INTO parents (n) VALUES (3)")
        switching = asyncio.create_task(fence.on(url, reason="x", by="me"))
        await until(lambda: switched(url))
        await writer.execute("INSERT INTO children (parent_id) SELECT max(id) FROM parents")
        assert not switching.done()
        await transaction.commit()
        assert (await switching).stands
        assert await writer.fetchval("SELECT count(*) FROM children") == 1


async def test_a_writer_that_does_not_end_is_named(url: str) -> None:
    async with connected(url) as writer:
        await writer.execute("SET application_name = 'the one that hangs'")
        transaction = writer.transaction()
        await transaction.start()
        await writer.execute("UPDATE parents SET n = 9")
        with pytest.raises(DatabaseError, match="the one that hangs"):
            await fence.on(url, reason="x", by="me", patience=0)
        state = await fence.status(url)
        assert state.mode == "on"
        assert state.fenced == 0
        assert [one.program for one in state.writers] == ["the one that hangs"]
        await transaction.commit()
    assert (await fence.on(url, reason="x", by="me")).stands


async def test_of_twenty_writers_every_acknowledged_row_is_there_and_none_comes_later(url: str) -> None:
    acknowledged: list[int] = []

    async def write(number: int) -> None:
        async with connected(url) as connection:
            for count in range(10_000):
                value = 1000 * (count + 1) + number
                try:
                    await connection.execute("INSERT INTO parents (n) VALUES ($1)", value)
                except asyncpg.PostgresError as error:
                    if error.sqlstate == fence.SQLSTATE:
                        return
                    raise
                acknowledged.append(value)

    async def switch() -> list[int]:
        await until(lambda: enough(acknowledged))
        await fence.on(url, reason="x", by="me")
        async with connected(url) as connection:
            return [row[0] for row in await connection.fetch("SELECT n FROM parents WHERE n >= 1000")]

    writers = [asyncio.create_task(write(number)) for number in range(20)]
    stored = await switch()
    await asyncio.gather(*writers)
    assert sorted(stored) == sorted(acknowledged)
    assert len(stored) > 100


async def test_a_database_without_the_switch_is_fenced_all_the_same(url: str) -> None:
    async with connected(url) as connection:
        await connection.execute("DROP TABLE maintenance")
    state = await fence.on(url, reason="x", by="me")
    assert state.mode == "off"
    assert state.stands is True
    assert (await fence.off(url, by="me")).fenced == 0


async def test_a_database_that_is_away_is_said(url: str) -> None:
    with pytest.raises(DatabaseError, match="cannot be reached"):
        await fence.status(url + "_not_there")


async def definitions(url: str) -> list[object]:
    async with connected(url) as connection:
        triggers = await connection.fetch("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")
        functions = await connection.fetch("SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace")
    return [*triggers, *functions]


async def switched(url: str) -> bool:
    return (await fence.status(url)).mode == "on"


async def enough(acknowledged: list[int]) -> bool:
    return len(acknowledged) > 100


async def test_it_does_not_wait_for_an_autovacuum(tmp_path_factory: pytest.TempPathFactory) -> None:
    # A server of its own: on the one that all share, many databases stand before this one in the launcher's line.
    async with temporary_server(tmp_path_factory) as server, connected(server.dsn("postgres")) as connection:
        await connection.execute("ALTER SYSTEM SET autovacuum_naptime = 1")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.execute(SCHEMA)
        # A page every tenth of a second: it would be at work for minutes.
        await connection.execute("""
            CREATE TABLE large (id int PRIMARY KEY, said text)
                WITH (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
            INSERT INTO large SELECT n, repeat('x', 500) FROM generate_series(1, 20000) n;
        """)
        url = server.dsn("postgres")
        for switch in (fence.on(url, reason="x", by="me", patience=5), fence.off(url, by="me", patience=5)):
            await vacuumed(connection)
            await switch


async def vacuumed(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    for _ in range(600):
        if await connection.fetchval(VACUUMS):
            return
        await asyncio.sleep(0.05)
    pytest.fail("no autovacuum came")


VACUUMS = """
    SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE backend_type = 'autovacuum worker' AND relation = 'large'::regclass AND mode = 'ShareUpdateExclusiveLock'
"""


async def test_a_database_without_tables_is_refused_in_a_sentence(create_database: DatabaseFactory) -> None:
    url = await create_database()
    with pytest.raises(DatabaseError, match="has no tables, so there is no writing to stop and nothing was changed"):
        await fence.on(url, reason="x", by="me")
    async with connected(url) as connection:
        assert await connection.fetchval("SELECT to_regproc($1)", fence.NAME) is None
    off = await fence.off(url, by="me")
    assert off.mode == "off"
    assert off.tables == 0
    assert off.stands is False


async def test_a_table_with_the_number_of_an_extension_s_function_is_fenced(url: str) -> None:
    async with connected(url) as connection:
        await connection.execute(SAME_NUMBER)
    assert (await fence.on(url, reason="The move.", by="me")).tables == 3
    async with connected(url) as connection:
        with pytest.raises(asyncpg.PostgresError, match="maintenance mode"):
            await connection.execute("UPDATE parents SET n = 0")
