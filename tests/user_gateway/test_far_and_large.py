"""A User DB that is far away, or has a great many accounts: the gateway starts, and goes on while it looks again."""

import asyncio
import json

import asyncpg
import grpc
import structlog

from tests.fixtures.gateway_calls import Calls
from tests.fixtures.users import StartGateway, UsersDatabase
from tests.fixtures.waiting import until
from tests.user_gateway.proxy import Proxy
from user_gateway import catalog

_ROUND_TRIPS = 14  # the greetings of PostgreSQL, the proof, the catalog, the sample, the size: two or three each


async def test_the_start_takes_few_round_trips(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    async with Proxy(users_db.dsn) as proxy:
        await start_gateway(proxy.dsn)
        assert proxy.requests <= _ROUND_TRIPS


async def test_it_serves_where_a_round_trip_takes_long(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    async with Proxy(users_db.dsn) as proxy:
        proxy.delay_seconds = 0.15  # 300 ms there and back, twelve times: longer than two seconds, shorter than ten
        running = await start_gateway(proxy.dsn)
        async with Calls(running.address, running.token) as calls:
            assert await calls.serving()
            assert (await calls.get(id=1)).id == 1


async def test_the_log_names_the_step_that_took_too_long(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    blocker = await asyncpg.connect(users_db.admin_dsn)
    try:
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE pg_catalog.pg_foreign_server IN ACCESS EXCLUSIVE MODE")
            with structlog.testing.capture_logs() as lines:
                running = await start_gateway(users_db.dsn, USER_GATEWAY_CALL_SECONDS="0.5")
            reasons = [line["why"] for line in lines if line["event"] == "the User DB does not answer"]
            assert reasons == ["QueryCanceledError while proving that the role cannot write"]
        async with Calls(running.address, running.token) as calls:
            await until(calls.serving, 5.0, "SERVING after the lock")
    finally:
        await blocker.close()


async def test_the_cost_of_hashes_is_read_from_a_sample(users_db: UsersDatabase) -> None:
    """As many pages of 100 000 accounts as of a million."""
    await fill(users_db, 100_000)
    connection = await asyncpg.connect(users_db.dsn)
    try:
        plan = json.loads(await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT json) {catalog._HIGHEST_COST}"))
    finally:
        await connection.close()
    assert plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"] < 200


async def test_a_sample_that_cannot_be_had_keeps_nobody_out(
    users_db: UsersDatabase, start_gateway: StartGateway
) -> None:
    holder = await asyncpg.connect(users_db.admin_dsn)
    try:
        async with holder.transaction():
            await holder.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            with structlog.testing.capture_logs() as lines:
                running = await start_gateway(users_db.dsn)
            async with Calls(running.address, running.token) as calls:
                assert await calls.serving(), lines
    finally:
        await holder.close()
    assert "the hashes and indexes of the User DB could not be looked at" in {line["event"] for line in lines}


async def test_calls_go_on_while_the_catalog_is_read_anew(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    """A column disappears under load, and reading takes a while: nobody is refused."""
    async with Proxy(users_db.dsn) as proxy:
        running = await start_gateway(proxy.dsn)
        async with Calls(running.address, running.token) as calls:
            await asyncio.gather(*(calls.get(id=1) for _ in range(20)))
            proxy.delay_seconds = 0.02
            answers: list[bool | grpc.StatusCode] = []

            async def ask() -> None:
                while answers.count(False) < 50:
                    try:
                        answers.append((await calls.get(id=1)).HasField("badge_color"))
                    except grpc.aio.AioRpcError as error:
                        answers.append(error.code())

            asking = asyncio.gather(*(ask() for _ in range(8)))
            await asyncio.sleep(0.2)
            await users_db.execute("ALTER TABLE users DROP COLUMN badge_color")
            await asking
    assert set(answers) == {True, False}


async def fill(users_db: UsersDatabase, count: int) -> None:
    """Add so many accounts, with hashes that look like bcrypt's."""
    await users_db.execute(
        "INSERT INTO users (email, hashed_password, full_name) "
        "SELECT 'user' || n || '@example.com', '$2b$12$' || repeat('x', 53), 'User ' || md5(n::text) "
        "FROM generate_series(1, $1::int) AS n",
        count,
    )
    await users_db.execute("VACUUM ANALYZE users")
