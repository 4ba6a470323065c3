"""Searches that take long: look-ups go on beside them, whoever searches and however soon they give up."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import grpc
import pytest

from labeler_api.errors import TooMany
from labeler_api.user_directory.directory import UserDirectory
from tests.fixtures.gateway_calls import Calls, refused
from tests.fixtures.users import ALL_SCOPES, GATEWAY_TOKEN, StartGateway, UsersDatabase
from tests.fixtures.waiting import until

OTHER_TOKEN = "token-of-another-caller-in-tests"
_SEARCHES = 3  # at once: a third of the pool's ten

# A search reads all names and waits 20 ms for each of them; a look-up reads one. No core is busy meanwhile.
SLOW = """
ALTER TABLE users RENAME TO accounts;
CREATE VIEW users AS SELECT id, email, hashed_password, system_role, is_active, created_at, updated_at, badge_color,
  CASE WHEN pg_sleep(0.02) IS NOT NULL THEN full_name END AS full_name FROM accounts;
INSERT INTO accounts (email, hashed_password, full_name)
SELECT 'user' || n || '@example.com', '', 'Anna ' || n FROM generate_series(1, 100) AS n;
GRANT SELECT ON users TO user_readonly;
"""


@pytest.fixture
async def address(users_db: UsersDatabase, start_gateway: StartGateway) -> str:
    """A gateway whose searches take two seconds."""
    await users_db.execute(SLOW)
    running = await start_gateway(
        users_db.dsn,
        USER_GATEWAY_TOKENS=f"labeler={GATEWAY_TOKEN}:{ALL_SCOPES},other={OTHER_TOKEN}:{ALL_SCOPES}",
    )
    return running.address


@asynccontextmanager
async def counted(users_db: UsersDatabase) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """How many searches run in the database now, whoever still waits for them."""
    observer = await asyncpg.connect(users_db.admin_dsn)

    async def count() -> int:
        return int(
            await observer.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' "
                "AND query LIKE '%WITH found%' AND pid <> pg_backend_pid()"
            )
        )

    try:
        yield count
    finally:
        await observer.close()


async def search(calls: Calls, seconds: float = 10.0) -> str:
    try:
        await calls.search("anna", seconds=seconds)
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    return "OK"


async def test_look_ups_go_on_beside_twenty_searches(address: str, users_db: UsersDatabase) -> None:
    async with Calls(address, GATEWAY_TOKEN) as calls, counted(users_db) as running:
        searches = [asyncio.create_task(search(calls)) for _ in range(20)]

        async def begun() -> bool:
            return await running() >= _SEARCHES - 1

        await until(begun, 5.0, "the searches run")
        for _ in range(20):
            assert (await calls.get(id=1, seconds=1.0)).id == 1
            assert await running() <= _SEARCHES
        answers = Counter(await asyncio.gather(*searches))
    assert answers["OK"] >= _SEARCHES - 1
    assert set(answers) <= {"OK", "RESOURCE_EXHAUSTED"}, "told at once, and not at the deadline"


async def test_one_caller_leaves_a_place_to_the_others(address: str) -> None:
    async with Calls(address, GATEWAY_TOKEN) as greedy, Calls(address, OTHER_TOKEN) as other:
        searches = [asyncio.create_task(search(greedy)) for _ in range(20)]
        await asyncio.sleep(0.3)
        answer, refusal = await asyncio.gather(search(other), refused(greedy.search("anna")))
        assert answer == "OK"
        assert refusal.code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refusal.reason == "TOO_MANY_SEARCHES"
        assert refusal.retry_after_seconds == 1.0
        await asyncio.gather(*searches)


async def test_whoever_gives_up_soon_gets_no_more_of_them(address: str, users_db: UsersDatabase) -> None:
    """Deadlines of 100 ms, again and again: what is cancelled counts until it has ended."""
    most = 0
    async with Calls(address, GATEWAY_TOKEN) as calls, counted(users_db) as running:
        await calls.get(id=1)

        async def impatient() -> None:
            for _ in range(15):
                await search(calls, 0.1)

        asking = [asyncio.create_task(impatient()) for _ in range(20)]
        while not all(task.done() for task in asking):
            most = max(most, await running())
            assert (await calls.get(id=1, seconds=2.0)).id == 1
        opened = await sessions(users_db)
    assert 1 <= most <= _SEARCHES
    assert opened < 40, "connections are kept"


async def sessions(users_db: UsersDatabase) -> int:
    connection = await asyncpg.connect(users_db.admin_dsn)
    try:
        return int(
            await connection.fetchval("SELECT sessions FROM pg_stat_database WHERE datname = current_database()")
        )
    finally:
        await connection.close()


async def test_the_directory_says_that_many_search(address: str) -> None:
    async with Calls(address, GATEWAY_TOKEN) as calls:
        searches = [asyncio.create_task(search(calls)) for _ in range(20)]
        await asyncio.sleep(0.3)
        directory = UserDirectory(address, GATEWAY_TOKEN)
        with pytest.raises(TooMany) as caught:
            await directory.search("anna")
        assert caught.value.code == "search_busy"
        await directory.close()
        await asyncio.gather(*searches)
