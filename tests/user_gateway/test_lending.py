"""Connections that go from call to call: none is lost, and none is kept that nobody needs."""

import asyncio

import pytest

from proto.users.v1 import user_gateway_pb2 as pb
from tests.fixtures.gateway_calls import Calls
from tests.fixtures.users import RunningGateway, StartGateway, UsersDatabase, locked_users
from tests.fixtures.waiting import until

_POOL = 3
_AT_ONCE = 12


@pytest.fixture
async def running(users_db: UsersDatabase, start_gateway: StartGateway) -> RunningGateway:
    return await start_gateway(users_db.dsn, USER_DB_POOL_SIZE=str(_POOL))


async def test_one_call_after_another_has_one_connection(running: RunningGateway) -> None:
    async with Calls(running.address, running.token) as calls:
        for _ in range(20):
            await calls.get(id=1)
    connections, idle = running.server._database.size
    assert connections == 1
    assert idle == 1


async def test_whoever_leaves_leaves_a_place(running: RunningGateway, users_db: UsersDatabase) -> None:
    """Calls that are cancelled while they wait for a connection, and while the database works for them."""
    async with Calls(running.address, running.token) as calls:
        async with locked_users(users_db) as statements:
            waiting = [
                calls.stub.GetUser(pb.GetUserRequest(id=1), timeout=30, metadata=calls.metadata)
                for _ in range(_AT_ONCE)
            ]
            await until(statements(_POOL), 10.0, "the pool is busy, the others wait for it")
            for call in waiting:
                call.cancel()
        users = await asyncio.gather(*(calls.get(id=1) for _ in range(_AT_ONCE)))
        assert {user.id for user in users} == {1}
        async with locked_users(users_db) as statements:  # and every place is there
            again = [asyncio.ensure_future(calls.get(id=1)) for _ in range(_AT_ONCE)]
            await until(statements(_POOL), 10.0, "every connection is used")
        await asyncio.gather(*again)
    assert running.server._database.size[0] <= _POOL


async def test_a_deadline_leaves_a_place(start_gateway: StartGateway, users_db: UsersDatabase) -> None:
    """The gateway's own limit ends waits and statements, and the pool is whole afterwards."""
    running = await start_gateway(users_db.dsn, USER_DB_POOL_SIZE=str(_POOL), USER_GATEWAY_CALL_SECONDS="0.5")
    async with Calls(running.address, running.token) as calls:
        async with locked_users(users_db):
            ended = await asyncio.gather(*(calls.get(id=1) for _ in range(_AT_ONCE)), return_exceptions=True)
            assert all("DEADLINE_EXCEEDED" in str(error) for error in ended)

        async def whole() -> bool:
            users = await asyncio.gather(*(calls.get(id=1) for _ in range(_AT_ONCE)), return_exceptions=True)
            return all(isinstance(user, pb.User) for user in users)

        await until(whole, 10.0, "every call is answered")


async def test_what_is_quiet_goes_back_into_the_pool(running: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    database = running.server._database
    async with Calls(running.address, running.token) as calls:
        await asyncio.gather(*(calls.get(id=1) for _ in range(_AT_ONCE)))
        assert database._lending is not None
        assert database._lending.kept > 0
        monkeypatch.setattr("service_kit.postgres._QUIET_SECONDS", 0.1)

        async def returned() -> bool:
            return database._lending is not None and database._lending.kept == 0

        await until(returned, 5.0, "the pool has them, and closes them in its own time")
        assert database.size[0] == database.size[1]
        assert (await calls.get(id=1)).id == 1
