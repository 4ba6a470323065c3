"""What breaks a move by replication: a way back that is gone, servers that restart, roles that are no superusers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from labeler_ops.database.verify.equality import compare_databases
from labeler_ops.errors import DatabaseError
from labeler_ops.maintenance import fence
from labeler_ops.move.context import Endpoints
from labeler_ops.move.replication import database_pair
from labeler_ops.move.replication.database_pair import Urls, replication_status
from labeler_ops.stack.postgres import PostgresServer
from tests.fixtures.sql import execute
from tests.labeler_ops.move.moving import again, following, through
from tests.labeler_ops.move.replication.conftest import Servers, rows
from tests.labeler_ops.move.replication.test_replication import LEFT

_DEADLINE_SECONDS = 30.0


async def test_a_way_back_that_somebody_dropped_is_refused_and_a_copy_takes_everything_along(
    servers: Servers, pair: tuple[str, str], tmp_path: Path
) -> None:
    """Disabled, then dropped with its slot, while users wrote; the copy has every row, and nothing is left."""
    source, target = pair
    move = following(tmp_path, Urls(source, target), backup=False)
    await through(move)
    await execute(source, f"ALTER SUBSCRIPTION {database_pair.BACK} DISABLE")
    await execute(target, "UPDATE annotations SET notes = 'there' WHERE id = 7; DELETE FROM keyless WHERE n = 8")
    with pytest.raises(DatabaseError, match=f"ALTER SUBSCRIPTION {database_pair.BACK} ENABLE"):
        await move.rollback()
    await execute(source, f"DROP SUBSCRIPTION {database_pair.BACK}")
    with pytest.raises(DatabaseError, match=r"no subscription, no slot.*target serves on.*--into"):
        await move.rollback()
    assert [(await fence.status(side)).stands for side in pair] == [True, False]
    await execute(target, "UPDATE annotations SET notes = 'there' WHERE id = 9")
    back = await _empty(servers)
    await move.rollback(back)
    assert await rows(back, "SELECT id FROM annotations WHERE notes = 'there' ORDER BY id") == [(7,), (9,)]
    assert await rows(back, "SELECT n FROM keyless WHERE n = 8") == []
    assert (await compare_databases(target, back)).lines() == []
    assert [(await fence.status(side)).stands for side in (*pair, back)] == [True, True, False]
    assert [await rows(side, LEFT) for side in (*pair, back)] == [[], [], []]


async def test_servers_that_restart_go_on_and_an_unopened_target_needs_no_way_back(
    servers: Servers, pair: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The target crashes in the middle of its first copy, the source restarts while it is followed.

    At the end the way back is dropped by somebody before the opening: a comparison is enough for the source to serve.
    """
    urls = Urls(*pair)
    move = following(tmp_path, urls, backup=False)
    monkeypatch.setattr("labeler_ops.move.replication.initial_copy._IN_VAIN_SECONDS", 1.0)
    await move.run_forward(until="publication")
    async with _held(urls.target, "annotations"):
        copying = asyncio.create_task(move.run_forward(until="following"))
        await _in_the_middle(urls)
        # As a crash leaves a table whose slot was dropped, and that was not written yet.
        await execute(urls.target, STATE.format("f"))
        with pytest.raises(DatabaseError, match="in vain for a slot"):
            await copying
        await execute(urls.target, STATE.format("r"))
        copying = asyncio.create_task(move.run_forward(until="following"))
        await _in_the_middle(urls)
        async with _crashed(servers.second):
            # The second text is of a crash that comes before the move has connected again.
            with pytest.raises(DatabaseError, match=r"^(following|the target at .* cannot be reached): "):
                await copying
            await execute(urls.source, AWAY)
    later = again(move.run.directory, Endpoints(urls, None))
    await later.run_forward(until="following")
    await servers.first.stop()
    await servers.first.start()
    await execute(urls.source, "UPDATE annotations SET notes = 'after' WHERE id = 9")
    async with database_pair.opened(urls) as both:
        await both.forward.replayed(_DEADLINE_SECONDS)
    await later.run_forward()
    assert await rows(urls.target, "SELECT id, notes FROM annotations WHERE notes <> '' ORDER BY id") == [
        (7, "away"),
        (9, "after"),
    ]
    assert (await compare_databases(*pair)).lines() == []
    await execute(urls.source, f"DROP SUBSCRIPTION {database_pair.BACK}")
    await later.rollback()
    assert [(await fence.status(side)).stands for side in pair] == [False, True]
    assert [await rows(side, LEFT) for side in pair] == [[], []]


async def test_owners_that_are_no_superusers(servers: Servers, newer: PostgresServer, tmp_path: Path) -> None:
    """What is missing is said; with what the guide names it works, on a target of 17."""
    admin = await servers.pair()
    name = admin[0].rpartition("/")[2]
    await execute(newer.dsn("postgres"), "CREATE ROLE owner LOGIN PASSWORD 'x'")
    await execute(newer.dsn("postgres"), f"CREATE DATABASE {name} TEMPLATE template0")
    await execute(admin[0], OWNER)
    source, target = servers.first.dsn(name, "owner", "x"), newer.dsn(name, "owner", "x")
    move = following(tmp_path, Urls(source, target), reverse=False, backup=False)
    with pytest.raises(DatabaseError) as raised:
        await move.run_forward()
    for said in (
        "the source's role lacks REPLICATION",
        "the source's role lacks CREATE on its database or on the schema public",
        "GRANT pg_create_subscription",
        "the target's role may not create tables",
        "CREATEDB on one side",
    ):
        assert said in str(raised.value)
    await execute(admin[0], f"ALTER ROLE owner REPLICATION; ALTER DATABASE {name} OWNER TO owner")
    await execute(
        newer.dsn(name),
        f"GRANT pg_create_subscription TO owner; ALTER ROLE owner CREATEDB; ALTER DATABASE {name} OWNER TO owner",
    )
    await move.run_forward(until="following")
    await execute(source, "UPDATE annotations SET notes = 'late' WHERE id = 7; TRUNCATE keyless")
    await through(move)
    assert await rows(target, "SELECT id FROM annotations WHERE notes = 'late'") == [(7,)]
    assert (await compare_databases(source, target)).lines() == []
    await move.finalize()
    assert [await rows(side, LEFT) for side in (source, target)] == [[], []]


AWAY = "UPDATE annotations SET notes = 'away' WHERE id = 7; DELETE FROM keyless WHERE n = 8"
STATE = """
    SET synchronous_commit = on;
    UPDATE pg_subscription_rel SET srsubstate = '{}' WHERE srrelid = 'keyless'::regclass
"""
OWNER = """
    CREATE ROLE owner LOGIN PASSWORD 'x';
    DO $$ DECLARE one record; BEGIN
        FOR one IN SELECT c.oid::regclass AS name, c.relkind FROM pg_class c
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v')
              AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = c.oid AND e.deptype = 'e')
        LOOP
            EXECUTE format('ALTER TABLE %s OWNER TO owner', one.name);
        END LOOP;
    END $$
"""


async def _empty(servers: Servers) -> str:
    """An empty database on the first server."""
    servers.count += 1
    name = f"back_{servers.count}"
    await execute(servers.first.dsn("postgres"), f"CREATE DATABASE {name} TEMPLATE template0")
    return servers.first.dsn(name)


@asynccontextmanager
async def _crashed(server: PostgresServer) -> AsyncIterator[None]:
    """A power cut; the server is there again at the end, also for other tests when this one fails."""
    server.kill()
    try:
        yield
    finally:
        await server.stop()
        await server.start()


@asynccontextmanager
async def _held(dsn: str, table: str) -> AsyncIterator[None]:
    """Keep a table from being copied into; the server may be gone at the end."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"BEGIN; LOCK TABLE {table} IN EXCLUSIVE MODE")
        yield
    finally:
        connection.terminate()


async def _in_the_middle(urls: Urls) -> None:
    """Wait until every table but the one that is held is copied."""
    async with asyncio.timeout(_DEADLINE_SECONDS):
        while True:
            flow = (await replication_status(urls)).forth
            if flow.copied == flow.tables - 1 > 0:
                return
            await asyncio.sleep(0.02)


async def test_the_password_of_a_route_that_fails_is_not_in_the_server_s_log(
    pair: tuple[str, str], servers: Servers, tmp_path: Path
) -> None:
    """A server logs a statement that fails, and this one names the other side's URL."""
    source, target = pair
    secret = "never-to-be-logged"
    away = f"postgresql://labeler_admin:{secret}@127.0.0.1:1/nowhere"
    found = await following(tmp_path, Urls(source, target, away), reverse=False).check()
    assert [one.verdict for one in found.findings if one.name == "route"] == ["refused"]
    log = servers.second.data_dir.with_name(servers.second.data_dir.name + ".log").read_text()
    assert "could not connect to the publisher" in log
    assert secret not in log
