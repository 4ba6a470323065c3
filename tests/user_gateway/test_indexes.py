"""Indexes of the User DB: what the gateway misses, what is printed and made, and that statements use them."""

import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import structlog
from typer.testing import CliRunner

from labeler_ops.cli import app
from labeler_ops.database.indexes import apply_indexes
from tests.fixtures.gateway_calls import Calls
from tests.fixtures.users import RunningGateway, StartGateway, UsersDatabase
from tests.user_gateway.test_far_and_large import fill
from user_gateway import search, store

_ACCOUNTS = 60_000
_PAGES = 600  # of 8 KiB; the table has some 1 500


@pytest.fixture
async def crowd(users_db: UsersDatabase) -> UsersDatabase:
    await fill(users_db, _ACCOUNTS)
    return users_db


async def warned(start_gateway: StartGateway, users_db: UsersDatabase) -> tuple[RunningGateway, list[str]]:
    with structlog.testing.capture_logs() as lines:
        running = await start_gateway(users_db.dsn)
    said = [line["missing"] for line in lines if line["event"] == "the User DB lacks indexes"]
    return running, [index.partition(":")[0] for missing in said for index in missing]


async def test_what_is_missing_is_said_until_it_is_made(crowd: UsersDatabase, start_gateway: StartGateway) -> None:
    _, missing = await warned(start_gateway, crowd)
    assert missing == ["users (lower(email))", "users (full_name gin_trgm_ops), users (email gin_trgm_ops)"]
    for _ in range(2):  # it may be run again
        await apply_indexes(crowd.admin_dsn)
    _, missing = await warned(start_gateway, crowd)
    assert not missing


async def test_a_few_accounts_need_none(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    await users_db.execute("ANALYZE users")
    assert (await warned(start_gateway, users_db))[1] == []


async def test_profiles_without_an_index_on_the_user(crowd: UsersDatabase, start_gateway: StartGateway) -> None:
    await crowd.execute("CREATE TABLE profiles (user_id int, company text)")
    await crowd.execute("GRANT SELECT ON profiles TO user_readonly")
    _, missing = await warned(start_gateway, crowd)
    assert "profiles (user_id)" in missing
    await apply_indexes(crowd.admin_dsn)
    assert (await warned(start_gateway, crowd))[1] == []


async def test_an_index_whose_making_was_interrupted_is_made_anew(crowd: UsersDatabase) -> None:
    await crowd.execute("CREATE INDEX labeler_users_lower_email ON users (lower(email::text))")
    await crowd.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'labeler_users_lower_email'::regclass"
    )
    await apply_indexes(crowd.admin_dsn)
    connection = await asyncpg.connect(crowd.admin_dsn)
    try:
        assert not await connection.fetch("SELECT FROM pg_index WHERE NOT indisvalid")
    finally:
        await connection.close()


class Reader:
    """Runs a statement of the store as the gateway's role, and counts the pages that it read and wrote."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", running: RunningGateway) -> None:
        self._connection = connection
        self._store = running.server._store

    async def pages(self, sql: str, *args: object) -> int:
        top = (await self.plan(sql, *args))["Plan"]
        return int(top["Shared Hit Blocks"] + top["Shared Read Blocks"])

    async def plan(self, sql: str, *args: object) -> Any:
        plan: Any = json.loads(await self._connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT json) {sql}", *args))
        assert plan[0]["Plan"]["Temp Written Blocks"] == 0, "nothing is written to disk"
        return plan[0]

    async def of_address(self, email: str) -> int:
        return await self.pages(self._store._select(full=True, rest=store._BY_EMAIL), email)

    async def of_search(self, query: str) -> int:
        sql, arguments = self.search(query)
        return await self.pages(sql, *arguments)

    def batch(self) -> str:
        return self._store._select(full=True, rest=store.BY_IDS)

    async def set_plans(self, mode: str) -> None:
        await self._connection.execute(f"SET plan_cache_mode = {mode}")

    def search(self, query: str, exclude: int = 0) -> tuple[str, list[object]]:
        wanted = search.Search(query=query, exclude_ids=list(range(1, exclude + 1)), limit=51, full=True)
        return search.statement(wanted, self._store.catalog, self._store._select(full=True))


@pytest.fixture
async def reader(crowd: UsersDatabase, start_gateway: StartGateway) -> AsyncIterator[Reader]:
    running = await start_gateway(crowd.dsn)
    connection = await asyncpg.connect(crowd.dsn, server_settings=running.server._database._settings)
    yield Reader(connection, running)
    await connection.close()


async def test_few_pages_are_read(crowd: UsersDatabase, reader: Reader) -> None:
    assert await reader.of_address("user77@example.com") < 20, "as it is stored, without any further index"
    sql, arguments = reader.search("user", exclude=10_000)
    assert "Anti" in json.dumps(await reader.plan(sql, *arguments)), "no list of ids is searched for each account"
    assert await reader.of_address("USER77@example.com") > _PAGES
    assert _PAGES < await reader.of_search("user57777") < 3 * _PAGES, "each once"
    assert _PAGES < await reader.of_search("us") < 3 * _PAGES, "each once, also where everybody matches"
    await crowd.execute("CREATE INDEX labeler_users_lower_email ON users (lower(email::text))")
    assert await reader.of_address("USER77@example.com") < 20, "also without statistics of the index"
    await apply_indexes(crowd.admin_dsn)
    assert await reader.of_address("USER77@example.com") < 20
    assert await reader.of_search("user57777") < _PAGES


def nodes(plan: Any) -> list[tuple[str, str | None]]:
    """The kind of each part of a plan that reads something, and the index that it uses."""
    below = [node for part in plan.get("Plans", []) for node in nodes(part)]
    return [(plan["Node Type"], plan.get("Index Name")), *below] if "Scan" in plan["Node Type"] else below


async def test_a_batch_is_found_by_the_primary_key(crowd: UsersDatabase, reader: Reader) -> None:
    """Five hundred ids of sixty thousand accounts, with any plan, and whatever the planner knows of the table."""
    await crowd.execute("ALTER TABLE users SET (autovacuum_enabled = false)")
    await assert_by_key(reader)
    await crowd.execute("DELETE FROM pg_statistic WHERE starelid = 'users'::regclass")
    await assert_by_key(reader)
    await crowd.execute("UPDATE pg_class SET reltuples = 6, relpages = 1 WHERE oid = 'users'::regclass")
    await assert_by_key(reader)


async def assert_by_key(reader: Reader) -> None:
    ids = list(range(7, 60_000, 120))
    assert len(ids) == 500
    for mode in ("force_custom_plan", "force_generic_plan"):
        await reader.set_plans(mode)
        plan = (await reader.plan(reader.batch(), ids))["Plan"]
        assert plan["Actual Rows"] == 500
        read = nodes(plan)
        assert {index for _, index in read if index} <= {"users_pkey", "ix_users_id"}, (mode, read)  # both are on id
        assert not any(kind == "Seq Scan" for kind, _ in read), (mode, read)
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 4 * 500, "some pages for each, no more"


async def test_pages_go_on_behind_accounts_without_an_address(
    users_db: UsersDatabase, start_gateway: StartGateway
) -> None:
    """They stand last. The gateway's own token was refused there."""
    await users_db.execute("ALTER TABLE users ALTER COLUMN email DROP NOT NULL")
    await users_db.execute(
        "INSERT INTO users (email, hashed_password, full_name) SELECT NULL, '', 'No Example' FROM generate_series(1, 6)"
    )
    running = await start_gateway(users_db.dsn)
    async with Calls(running.address, running.token) as calls:
        whole = await every_page(calls)
        assert sorted(whole[:6]) == [1, 2, 3, 4, 5, 6]
        assert whole[6:] == sorted(whole[6:])
        assert len(whole) == 12


async def every_page(calls: Calls) -> list[int]:
    ids: list[int] = []
    token = ""
    while True:
        page = await calls.search("example", page_size=4, page_token=token)
        ids += [user.id for user in page.users]
        token = page.next_page_token
        if not token:
            return ids


@pytest.mark.parametrize("wrong", [["labeler"], [], ["users", "--apply"]])
def test_the_command_wants_the_user_db(wrong: list[str]) -> None:
    result = CliRunner().invoke(app, ["db", "roles", *wrong, "--indexes"])
    assert result.exit_code == 2
    assert "--indexes is for the database `users`" in result.output


def test_the_command_prints_and_makes(postgres: object, users_template: str) -> None:
    printed = CliRunner().invoke(app, ["db", "roles", "users", "--indexes"])
    assert printed.exit_code == 0
    assert "CREATE EXTENSION IF NOT EXISTS pg_trgm;" in printed.output
    assert "CREATE INDEX CONCURRENTLY IF NOT EXISTS labeler_users_lower_email" in printed.output
