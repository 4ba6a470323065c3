"""Connections to the User DB that fell silent while new ones work: each call ends in time, and the pool recovers."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from time import monotonic

import asyncpg
import grpc
import pytest

from proto.users.v1 import user_gateway_pb2 as pb
from tests.fixtures.gateway_calls import Calls
from tests.fixtures.left_locks import cut_everywhere
from tests.fixtures.timing import check_within
from tests.fixtures.users import StartGateway, UsersDatabase
from tests.fixtures.waiting import until
from tests.user_gateway.proxy import Proxy

_CALL_SECONDS = 1.5
_WATCHER = 1  # its connection is the oldest, and never quiet: a firewall does not forget it
_AT_ONCE = 20  # more than the pool has connections


@pytest.fixture
async def proxy(users_db: UsersDatabase) -> AsyncIterator[Proxy]:
    async with Proxy(users_db.dsn) as proxy:
        yield proxy


@pytest.fixture
async def calls(proxy: Proxy, start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Calls]:
    """A client of a gateway with all its connections open."""
    monkeypatch.setattr("service_kit.postgres._ANSWER_SECONDS", 0.5)  # a call has more than a sign of life takes
    running = await start_gateway(proxy.dsn, USER_GATEWAY_CALL_SECONDS=str(_CALL_SECONDS))
    async with Calls(running.address, running.token) as calls:
        await asyncio.gather(*(calls.get(id=1) for _ in range(_AT_ONCE)))
        yield calls


async def outcome(calls: Calls) -> str:
    """What came of a call that waits for the gateway's own limit; a second on top, the machine may be busy."""
    started = monotonic()
    try:
        await calls.get(id=1, seconds=30)
    except grpc.aio.AioRpcError as error:
        said: str = error.code().name
    else:
        said = "OK"
    check_within(monotonic() - started, _CALL_SECONDS + 1.0)
    return said


async def test_quiet_connections_that_were_forgotten_fail_no_call(
    calls: Calls, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service_kit.postgres._QUIET_SECONDS", 0.1)
    await asyncio.sleep(0.2)
    proxy.forget(keep=_WATCHER)
    assert [await outcome(calls) for _ in range(5)] == ["OK"] * 5


async def test_one_call_pays_for_the_others(calls: Calls, proxy: Proxy) -> None:
    """One by one: the first that fails casts doubt on every connection that was not heard since."""
    proxy.forget(keep=_WATCHER)
    assert Counter([await outcome(calls) for _ in range(12)]) == {"DEADLINE_EXCEEDED": 1, "OK": 11}


async def test_many_at_once(calls: Calls, proxy: Proxy) -> None:
    proxy.forget(keep=_WATCHER)
    await asyncio.gather(*(outcome(calls) for _ in range(_AT_ONCE)))
    await asyncio.sleep(2.0)  # what a cancelled statement is given to end
    assert await asyncio.gather(*(outcome(calls) for _ in range(_AT_ONCE))) == ["OK"] * _AT_ONCE


async def test_the_watcher_forgotten_too(calls: Calls, proxy: Proxy) -> None:
    proxy.forget()
    answers = await asyncio.gather(*(outcome(calls) for _ in range(_AT_ONCE)))
    assert set(answers) <= {"OK", "DEADLINE_EXCEEDED", "UNAVAILABLE"}

    async def well() -> bool:
        return await asyncio.gather(*(outcome(calls) for _ in range(_AT_ONCE))) == ["OK"] * _AT_ONCE

    await until(well, 10.0, "every call is answered")


async def test_whoever_leaves_does_not_hold_a_connection_for_long(calls: Calls, proxy: Proxy) -> None:
    proxy.forget(keep=_WATCHER)
    for call in [
        calls.stub.GetUser(pb.GetUserRequest(id=1), timeout=30, metadata=calls.metadata) for _ in range(_AT_ONCE)
    ]:
        await asyncio.sleep(0.01)
        call.cancel()
    await asyncio.sleep(2.5)
    answers = await asyncio.gather(*(outcome(calls) for _ in range(_AT_ONCE)))
    assert answers == ["OK"] * _AT_ONCE


async def test_both_sides_notice_by_themselves(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    """The kernel's part: what is asked of it, on either side, by the pool and by the watcher."""
    running = await start_gateway(users_db.dsn)
    database = running.server._database
    assert database._liveness is not None
    connection = await database._liveness.take(5.0)
    try:
        await _assert_watched(connection)
    finally:
        await database._liveness.give_back(connection, 5.0)
    assert database._watched is not None
    _assert_asked(database._watched)


async def _assert_watched(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    names = ["tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout"]
    shown = await connection.fetch("SELECT current_setting(name) AS value FROM unnest($1::text[]) name", names)
    assert [row["value"] for row in shown] == ["15", "5", "3", "20000"]
    _assert_asked(connection)


def _assert_asked(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    wire = connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]
    assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000


async def test_a_statement_that_is_cut_off_leaves_no_lock(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    """The tables are another service's, whose migrations would wait for it."""
    running = await start_gateway(users_db.dsn)
    database = running.server._database
    await database.fetch("SELECT 1", seconds=5)

    async def fetch(number: int) -> None:
        await database.fetch(f"SELECT id AS id_{number} FROM users", seconds=5)

    async def search(number: int) -> None:
        await database.search(f"SELECT id AS id_{number} FROM users", caller="x", short=False, seconds=5)

    for read in (fetch, search):
        await cut_everywhere(users_db.admin_dsn, "users", read)
