"""The User DB slow, away and back."""

import asyncio
from time import monotonic

import grpc
import pytest

from proto.users.v1 import user_gateway_pb2 as pb
from tests.fixtures.gateway_calls import Calls, refused
from tests.fixtures.timing import check_within
from tests.fixtures.users import StartGateway, UsersDatabase, locked_users
from tests.fixtures.waiting import until
from tests.user_gateway.proxy import Proxy

PROMISED_SECONDS = 5.0


async def test_a_deadline_is_kept_and_the_statement_cancelled(
    users_db: UsersDatabase, start_gateway: StartGateway
) -> None:
    running = await start_gateway(users_db.dsn)
    async with Calls(running.address, running.token) as calls, locked_users(users_db) as statements:
        for call in (
            lambda: calls.get(seconds=0.5, id=1),
            lambda: calls.call("BatchGetUsers", pb.BatchGetUsersRequest(ids=[1]), 0.5),
            lambda: calls.call("SearchUsers", pb.SearchUsersRequest(query="ab"), 0.5),
            lambda: calls.call("VerifyCredentials", pb.VerifyCredentialsRequest(email="a@b.c", password="x"), 0.5),
        ):
            started = monotonic()
            refusal = await refused(call())
            assert refusal.code == grpc.StatusCode.DEADLINE_EXCEEDED
            check_within(monotonic() - started, 0.5 + 2.5)  # the deadline, and a busy machine; without it, five seconds
        await until(statements(0), 7.0, "the statements are cancelled in the database")


async def test_the_gateway_sets_a_limit_where_the_caller_sets_none(
    users_db: UsersDatabase, start_gateway: StartGateway
) -> None:
    running = await start_gateway(users_db.dsn, USER_GATEWAY_CALL_SECONDS="0.3")
    async with Calls(running.address, running.token) as calls, locked_users(users_db):
        refusal = await refused(calls.stub.GetUser(pb.GetUserRequest(id=1), metadata=calls.metadata))
        assert refusal.code == grpc.StatusCode.DEADLINE_EXCEEDED
        assert refusal.reason == "DEADLINE_EXCEEDED"
        assert await calls.serving(), "slow is not away"


async def test_a_client_that_leaves_takes_its_statement_along(
    users_db: UsersDatabase, start_gateway: StartGateway
) -> None:
    running = await start_gateway(users_db.dsn)
    async with Calls(running.address, running.token) as calls, locked_users(users_db) as statements:
        call = calls.stub.GetUser(pb.GetUserRequest(id=1), timeout=8, metadata=calls.metadata)
        await until(statements(1), 7.0, "the statement runs")
        call.cancel()
        await until(statements(0), 7.0, "the statement is cancelled")
        with pytest.raises(asyncio.CancelledError):
            await call


@pytest.mark.parametrize("fault", ["cut", "stalled"])
async def test_away_and_back(users_db: UsersDatabase, start_gateway: StartGateway, fault: str) -> None:
    async with Proxy(users_db.dsn) as proxy:
        running = await start_gateway(proxy.dsn)
        async with Calls(running.address, running.token) as calls:
            await asyncio.gather(*(calls.get(id=1) for _ in range(20)))  # the pool is full of connections

            async def gone() -> bool:
                return not await calls.serving()

            if fault == "cut":
                await proxy.cut()
            else:
                proxy.stall()
            await until(gone, PROMISED_SECONDS, "NOT_SERVING")
            started = monotonic()
            refusal = await refused(calls.get(id=1))
            assert refusal.code == grpc.StatusCode.UNAVAILABLE
            assert refusal.reason == "USER_DB_UNAVAILABLE"
            assert refusal.retry_after_seconds == 1.0
            check_within(monotonic() - started, 2.5, "refused at once, not after a time-out")
            assert (await refused(calls.info())).reason == "USER_DB_UNAVAILABLE"
            assert not await calls.serving("")

            await proxy.restore()
            await until(calls.serving, PROMISED_SECONDS, "SERVING again")
            users = await asyncio.gather(*(calls.get(id=1) for _ in range(20)))
            assert {user.id for user in users} == {1}


async def test_calls_during_the_break_fail_with_unavailable_only(
    users_db: UsersDatabase, start_gateway: StartGateway
) -> None:
    async with Proxy(users_db.dsn) as proxy:
        running = await start_gateway(proxy.dsn)
        async with Calls(running.address, running.token) as calls:
            codes = set()

            async def ask(times: int) -> None:
                for _ in range(times):
                    try:
                        await calls.get(id=1)
                    except grpc.aio.AioRpcError as error:
                        codes.add(error.code())

            asking = asyncio.gather(*(ask(40) for _ in range(5)))
            await calls.get(id=1)
            await proxy.cut()
            await asking
            assert codes == {grpc.StatusCode.UNAVAILABLE}


async def test_away_at_the_start(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    async with Proxy(users_db.dsn) as proxy:
        await proxy.cut()
        running = await start_gateway(proxy.dsn)
        async with Calls(running.address, running.token) as calls:
            assert not await calls.serving()
            assert (await refused(calls.get(id=1))).reason == "USER_DB_UNAVAILABLE"
            await proxy.restore()
            await until(calls.serving, PROMISED_SECONDS, "SERVING")
            assert (await calls.get(id=1)).id == 1
            assert (await calls.info()).database_read_only


async def test_a_role_that_became_writable_meanwhile_is_not_used(
    users_db: UsersDatabase, start_gateway: StartGateway
) -> None:
    async with Proxy(users_db.dsn) as proxy:
        running = await start_gateway(proxy.dsn)
        async with Calls(running.address, running.token) as calls:

            async def gone() -> bool:
                return not await calls.serving()

            await proxy.cut()
            await until(gone, PROMISED_SECONDS, "NOT_SERVING")
            await users_db.execute("GRANT DELETE ON users TO user_readonly")
            await proxy.restore()
            for _ in range(20):  # two seconds, in which it looks at the role at least once
                assert not await calls.serving()
                await asyncio.sleep(0.1)
            await users_db.execute("REVOKE DELETE ON users FROM user_readonly")
            await until(calls.serving, PROMISED_SECONDS, "SERVING")


async def test_a_table_that_changes_is_read_again(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    running = await start_gateway(users_db.dsn)
    async with Calls(running.address, running.token) as calls:
        assert (await calls.get(id=1)).badge_color == "blue"
        await users_db.execute("ALTER TABLE users DROP COLUMN badge_color")

        async def answers() -> bool:
            try:
                return not (await calls.get(id=1)).HasField("badge_color")
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
                return False

        await until(answers, PROMISED_SECONDS, "answers without the column")
