"""The pool: kinds of transaction, limits, age, and a server that goes away."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from labeler_api.db.connection import PLANNED_ONCE
from labeler_api.db.pool import Database, PoolOptions, StatementCount, statements
from labeler_api.errors import Conflict, Invalid, RetryTransaction, Unavailable
from tests.fixtures.left_locks import cut_everywhere, no_lock
from tests.fixtures.postgres import DatabaseFactory


@pytest.fixture
async def dsn(create_database: DatabaseFactory) -> AsyncIterator[str]:
    dsn = await create_database()
    yield dsn
    await create_database.drop(dsn)


@pytest.fixture
async def db(dsn: str) -> AsyncIterator[Database]:
    db = await Database.connect(dsn, PoolOptions(min_size=1, max_size=3, acquire_seconds=0.3))
    async with db.begin() as tx:
        await tx.execute("CREATE TABLE t (id int PRIMARY KEY, name varchar(5))")
    yield db
    await db.close()


async def test_a_transaction_that_is_planned_once_says_so_for_itself_alone(db: Database) -> None:
    names = [*PLANNED_ONCE]
    sql = "SELECT name, current_setting(name) AS value FROM unnest($1::text[]) name"
    async with db.begin(planned_once=True) as tx:
        assert {row["name"]: row["value"] for row in await tx.fetch(sql, names)} == PLANNED_ONCE
    async with db.begin() as tx:
        assert {row["value"] for row in await tx.fetch(sql, names)} == {"auto", "on"}
    async with db.read() as connection:
        assert {row["value"] for row in await connection.fetch(sql, names)} == {"auto", "on"}


@pytest.mark.parametrize("statement_cache", [True, False])
async def test_a_write_sees_what_was_committed_whatever_the_database_says_for_everybody(
    dsn: str, statement_cache: bool
) -> None:
    """Also where limits are said in each transaction, as behind a pooler."""
    connection = await asyncpg.connect(dsn)
    name = dsn.rpartition("/")[2]
    await connection.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    await connection.close()
    db = await Database.connect(dsn, PoolOptions(statement_cache=statement_cache))
    try:
        async with db.begin() as tx:
            assert await tx.fetchval("SHOW transaction_isolation") == "read committed"
        async with db.begin(long=True) as tx:
            assert await tx.fetchval("SHOW transaction_isolation") == "read committed"
        async with db.snapshot() as snapshot:
            assert await snapshot.fetchval("SHOW transaction_isolation") == "repeatable read"
    finally:
        await db.close()


async def test_a_block_that_raises_is_rolled_back(db: Database) -> None:
    async def fail() -> None:
        async with db.begin() as tx:
            await tx.execute("INSERT INTO t VALUES (1, 'a')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with db.read() as connection:
        assert await connection.fetchval("SELECT count(*) FROM t") == 0


async def test_a_snapshot_cannot_write_and_does_not_change(db: Database) -> None:
    async with db.snapshot() as snapshot:
        assert await snapshot.fetchval("SELECT count(*) FROM t") == 0
        async with db.begin() as tx:
            await tx.execute("INSERT INTO t VALUES (1, 'a')")
        assert await snapshot.fetchval("SELECT count(*) FROM t") == 0
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await snapshot.fetchval("DELETE FROM t RETURNING id")


async def test_a_cursor_walks_through_everything(db: Database) -> None:
    async with db.begin() as tx:
        await tx.executemany("INSERT INTO t VALUES ($1, 'a')", [(number,) for number in range(1201)])
    async with db.snapshot() as snapshot:
        ids = [row["id"] async for row in snapshot.cursor("SELECT id FROM t ORDER BY id", prefetch=100)]
    assert ids == list(range(1201))


async def test_large_texts_come_alone_and_in_their_order(db: Database) -> None:
    """A text of 300 KB is large. Usual ones are read by one statement, a hundred a round trip, as ever."""
    texts = "SELECT repeat('x', n * $1::int) FROM generate_series(1, 1201) n ORDER BY n"
    large = "SELECT repeat('x', CASE WHEN n % 7 = 0 THEN 300000 ELSE n END) FROM generate_series(1, 50) n ORDER BY n"
    async with db.snapshot() as snapshot:
        for sql, args, lengths, expected in (
            (texts, (1,), list(range(1, 1202)), 1),
            (large, (), [number if number % 7 else 300_000 for number in range(1, 51)], 2),
        ):
            token = statements.set(counter := StatementCount())
            assert [len(text) async for text in snapshot.texts(sql, *args)] == lengths
            statements.reset(token)
            assert counter.value == expected


async def test_an_exhausted_pool_answers_503_in_time(db: Database) -> None:
    async with db.read(), db.read(), db.read():
        with pytest.raises(Unavailable) as caught:
            async with db.read():
                pass
    assert caught.value.code == "database_busy"
    assert caught.value.retry_after is not None
    async with db.read() as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_a_cancelled_statement_gives_its_connection_back(db: Database) -> None:
    async def sleep() -> None:
        async with db.begin() as tx:
            await tx.execute("SELECT pg_sleep(30)")

    tasks = [asyncio.create_task(sleep()) for _ in range(3)]
    await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    async with db.read() as one, db.read() as two, db.read() as three:
        assert [await each.fetchval("SELECT 1") for each in (one, two, three)] == [1, 1, 1]


async def test_an_old_connection_is_replaced(dsn: str) -> None:
    db = await Database.connect(dsn, PoolOptions(min_size=1, max_size=1, recycle_seconds=0.05))
    try:
        pids = set()
        for _ in range(3):
            async with db.read() as connection:
                pids.add(await connection.fetchval("SELECT pg_backend_pid()"))
            await asyncio.sleep(0.06)
        assert len(pids) == 3
    finally:
        await db.close()


async def test_connections_that_the_server_ended_are_a_503_and_then_replaced(db: Database, dsn: str) -> None:
    admin = await asyncpg.connect(dsn)

    async def be_cut_off() -> None:
        async with db.begin() as tx:
            await tx.execute("SELECT 1")  # the first statement takes the connection
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await tx.execute("SELECT 1")

    try:
        with pytest.raises(Unavailable):
            await be_cut_off()
    finally:
        await admin.close()
    async with db.read() as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_a_server_that_is_not_there_is_a_503() -> None:
    db = await Database.connect("postgresql://nobody@127.0.0.1:1/nothing", PoolOptions(acquire_seconds=1))
    try:
        with pytest.raises(Unavailable) as caught:
            async with db.read():
                pass
        assert caught.value.code == "database_unavailable"
    finally:
        await db.close()


async def test_refusals_are_said_in_our_words(db: Database) -> None:
    for args, kind in [
        ((1, "toolong"), Invalid),
        ((2**40, "a"), Invalid),
        ((1, "a\x00"), Invalid),
        ((1, "\ud800"), Invalid),
    ]:
        with pytest.raises(kind) as caught:
            async with db.begin() as tx:
                await tx.execute("INSERT INTO t VALUES ($1, $2)", *args)
        assert "INSERT" not in caught.value.detail
    with pytest.raises(Conflict):
        async with db.begin() as tx:
            await tx.execute("INSERT INTO t VALUES (1, 'a'), (1, 'b')")


async def test_a_deadlock_asks_for_one_more_try(db: Database) -> None:
    async with db.begin() as tx:
        await tx.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    met = asyncio.Barrier(2)

    async def cross(first: int, second: int) -> None:
        async with db.begin() as tx:
            await tx.execute("UPDATE t SET name = 'x' WHERE id = $1", first)
            await met.wait()
            await tx.execute("UPDATE t SET name = 'x' WHERE id = $1", second)

    results = await asyncio.gather(cross(1, 2), cross(2, 1), return_exceptions=True)
    assert [type(result) for result in results if result is not None] == [RetryTransaction]


async def test_statements_are_counted_through_every_level(db: Database) -> None:
    outer = StatementCount()
    token = statements.set(StatementCount(outer=outer))
    try:
        async with db.read() as connection:
            await connection.fetch("SELECT 1")
            await connection.fetchval("SELECT 1")
    finally:
        statements.reset(token)
    assert outer.value == 2


async def test_a_connection_that_came_back_in_order_is_lent_again(db: Database) -> None:
    """The latest one, whatever the pool has beside; and what the server has ended meanwhile is not."""

    async def backend() -> int:
        async with db.read() as connection:
            return int(await connection.fetchval("SELECT pg_backend_pid()"))

    first = await backend()
    async with db.read() as one, db.read() as two:
        pids = {await each.fetchval("SELECT pg_backend_pid()") for each in (one, two)}
    assert first in pids
    assert {await backend() for _ in range(5)} < pids
    size, idle = db.size
    assert size == idle == 2
    async with db.begin() as tx:
        await tx.execute(
            "SELECT pg_terminate_backend($1)", (pids - {await tx.fetchval("SELECT pg_backend_pid()")}).pop()
        )
    await asyncio.sleep(0.2)
    async with db.read() as one, db.read() as two:
        assert [await each.fetchval("SELECT 1") for each in (one, two)] == [1, 1]


async def test_a_connection_whose_transaction_failed_is_clean_when_it_is_lent_again(db: Database) -> None:
    async def fail() -> None:
        async with db.begin() as tx:
            await tx.execute("INSERT INTO t VALUES (1, 'a')")
            await tx.execute("INSERT INTO t VALUES (1, 'a')")

    for _ in range(3):
        with pytest.raises(Conflict):
            await fail()
    async with db.read() as connection:
        assert await connection.fetchval("SELECT count(*) FROM t") == 0


async def test_what_is_cut_off_leaves_no_lock(db: Database, dsn: str) -> None:
    async def read(number: int) -> None:
        async with db.read() as connection:
            await connection.fetch(f"SELECT name AS name_{number} FROM t")

    await cut_everywhere(dsn, "t", read)


@pytest.mark.parametrize("statement_cache", [True, False])
async def test_a_value_that_the_driver_refuses_leaves_no_lock(dsn: str, db: Database, statement_cache: bool) -> None:
    """It looks at the values when the statement is prepared already."""
    other = await Database.connect(dsn, PoolOptions(min_size=1, max_size=3, statement_cache=statement_cache))
    observer = await asyncpg.connect(dsn)
    try:
        for lent in (other.read, other.single):
            with pytest.raises(Invalid):
                async with lent() as connection:
                    await connection.fetchrow("SELECT name FROM t WHERE id = $1", 2**40)
            await no_lock(observer, "t")
    finally:
        await observer.close()
        await other.close()
