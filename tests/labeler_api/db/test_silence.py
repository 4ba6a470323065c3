"""A database that says nothing: every wait ends in time, and the pool is as good as before."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from labeler_api.db.pool import Caller, Database, PoolOptions
from labeler_api.errors import Conflict, Unavailable
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.silent_network import SilentWire
from tests.fixtures.timing import check_within

_CALL_SECONDS = 1.5  # what a call has here
_SIZE = 5


@pytest.fixture
async def wire(create_database: DatabaseFactory) -> AsyncIterator[SilentWire]:
    dsn = await create_database()
    async with SilentWire(dsn) as wire:
        yield wire
    await create_database.drop(dsn)


@pytest.fixture
async def db(wire: SilentWire, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """Every connection of the pool is open."""
    monkeypatch.setattr("service_kit.postgres._ANSWER_SECONDS", 0.5)  # a call has more than a sign of life takes
    db = await Database.connect(wire.dsn, PoolOptions(min_size=_SIZE, max_size=_SIZE))
    async with db.begin() as tx:
        await tx.execute("CREATE TABLE t (id int)")
    assert db.size == (_SIZE, _SIZE)
    yield db
    wire.speak()
    await db.close()


def caller() -> Caller:
    return Caller(deadline=time.monotonic() + _CALL_SECONDS)


@contextmanager
def ends_in_time(extra: float = 0.0) -> Iterator[None]:
    """A second on top: the machine may be busy."""
    started = time.monotonic()
    yield
    check_within(time.monotonic() - started, _CALL_SECONDS + extra + 1.0)


async def write(db: Database) -> int:
    async with db.of(caller()).begin() as tx:
        return await tx.execute("INSERT INTO t VALUES (1)")


async def answer_of(db: Database) -> str:
    try:
        await write(db)
    except Unavailable as error:
        return error.code if error.retry_after else "no Retry-After"
    return "done"


async def test_connections_that_fell_silent_are_given_up_and_new_ones_made(db: Database, wire: SilentWire) -> None:
    wire.forget()
    with ends_in_time():
        answers = await asyncio.gather(*(answer_of(db) for _ in range(20)))
    assert set(answers) <= {"done", "database_unavailable", "database_busy"}
    with ends_in_time():
        assert await asyncio.gather(*(answer_of(db) for _ in range(20))) == ["done"] * 20
    async with db.read() as connection:
        assert await connection.fetchval("SELECT count(*) FROM t") == answers.count("done") + 20


async def test_one_that_was_quiet_for_long_is_asked_first(
    db: Database, wire: SilentWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A firewall forgets what is quiet: no call pays for it with its whole time."""
    monkeypatch.setattr("service_kit.postgres._QUIET_SECONDS", 0.1)
    await asyncio.sleep(0.2)
    wire.forget()
    with ends_in_time():
        assert await answer_of(db) == "done"


async def test_a_server_that_swallows_everything(db: Database, wire: SilentWire) -> None:
    wire.swallow()
    with ends_in_time():
        answers = await asyncio.gather(*(answer_of(db) for _ in range(20)))
    assert set(answers) <= {"database_unavailable", "database_busy"}
    with ends_in_time(), pytest.raises(Unavailable):
        async with db.of(caller()).read() as connection:
            await connection.fetchval("SELECT 1")
    wire.speak()
    with ends_in_time():
        assert await asyncio.gather(*(answer_of(db) for _ in range(20))) == ["done"] * 20


async def test_a_commit_that_is_not_answered(db: Database, wire: SilentWire) -> None:
    async def commit() -> None:
        async with db.of(caller()).begin() as tx:
            await tx.execute("INSERT INTO t VALUES (1)")
            wire.swallow()

    with ends_in_time(), pytest.raises(Unavailable):
        await commit()


async def test_a_rollback_that_is_not_answered_hides_nothing(db: Database, wire: SilentWire) -> None:
    async def lose() -> None:
        async with db.of(caller()).begin() as tx:
            await tx.execute("INSERT INTO t VALUES (1)")
            wire.swallow()
            raise Conflict("Somebody was faster.")

    with ends_in_time(extra=1.0), pytest.raises(Conflict):
        await lose()


async def test_a_snapshot_that_is_not_answered(db: Database, wire: SilentWire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labeler_api.db.pool._STATEMENT_SECONDS", 0.5)
    wire.swallow()
    with ends_in_time(), pytest.raises(Unavailable):
        async with db.snapshot() as snapshot:
            await snapshot.fetchval("SELECT 1")


async def test_whoever_leaves_does_not_wait_for_the_server(db: Database, wire: SilentWire) -> None:
    async def sleep() -> None:
        async with db.begin() as tx:
            await tx.execute("SELECT pg_sleep(60)")

    tasks = [asyncio.create_task(sleep()) for _ in range(_SIZE)]
    await asyncio.sleep(0.2)
    wire.forget()
    with ends_in_time():
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    await asyncio.sleep(2.1)  # what a cancelled statement is given to end
    with ends_in_time():
        assert await asyncio.gather(*(answer_of(db) for _ in range(20))) == ["done"] * 20


async def test_health_says_so_in_time(db: Database, wire: SilentWire) -> None:
    await db.ping()
    wire.swallow()
    started = time.monotonic()
    answers = await asyncio.gather(*(db.ping() for _ in range(50)), return_exceptions=True)
    check_within(time.monotonic() - started, 7.0)
    assert {type(answer) for answer in answers} == {Unavailable}
    assert db.size[0] >= _SIZE - 2, "fifty questions take one connection, not fifty"
    wire.speak()
    await db.ping()


async def test_both_sides_notice_by_themselves(db: Database) -> None:
    """The kernel's part, which no wire of a test can play: what is asked of it, on either side."""
    async with db.read() as connection:
        shown = {name: await connection.fetchval("SELECT current_setting($1)", name) for name in _ON_THE_SERVER}
        wire = connection._connection._transport.get_extra_info("socket")
        options = {name: wire.getsockopt(level, getattr(socket, name)) for level, name in _ON_THE_CLIENT}
    assert shown == _ON_THE_SERVER
    assert options == {
        "SO_KEEPALIVE": 1,
        "TCP_KEEPIDLE": 15,
        "TCP_KEEPINTVL": 5,
        "TCP_KEEPCNT": 3,
        "TCP_USER_TIMEOUT": 20_000,
    }


_ON_THE_SERVER = {
    "statement_timeout": "20s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "15s",
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "20000",
    "client_connection_check_interval": "2s",
}
_ON_THE_CLIENT = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE"),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE"),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL"),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT"),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT"),
)
