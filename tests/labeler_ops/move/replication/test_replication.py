"""The move by logical replication: what follows what, what is refused, and what is left at the end."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from labeler_ops.database.upgrade import upgrade
from labeler_ops.database.verify.equality import compare_databases
from labeler_ops.errors import DatabaseError
from labeler_ops.maintenance import fence
from labeler_ops.move.replication import database_pair
from labeler_ops.move.replication.database_pair import Urls, drop_everything, replication_status
from labeler_ops.stack.postgres import PostgresServer
from tests.fixtures.listener import Listener
from tests.fixtures.move_variables import variables
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.sql import execute
from tests.labeler_ops.move.moving import following, lines, through
from tests.labeler_ops.move.replication.conftest import Servers, rows

LEFT = """
    SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE database = current_database()
    UNION ALL SELECT 'publication ' || pubname FROM pg_publication
    UNION ALL SELECT 'subscription ' || subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
              WHERE d.datname = current_database()
    UNION ALL SELECT 'identity ' || relname FROM pg_class WHERE relname = 'keyless' AND relreplident <> 'd'
"""


async def test_the_fenced_source_follows_the_target_and_nobody_else_writes_there(
    pair: tuple[str, str], tmp_path: Path
) -> None:
    """Also with the rows compared after the target was opened, and what status says on the way."""
    urls = Urls(*pair)
    await upgrade(urls.target)  # as a first deployment leaves it: its tables are made anew
    move = following(tmp_path, urls, backup=False, compare_after=True)
    await move.run_forward(until="following")
    found = await replication_status(urls)
    assert found.forth.ready is True
    assert found.back.there is False
    assert found.warnings == []
    assert [(await fence.status(side)).mode for side in pair] == ["off", "on"]
    await through(move)
    assert move.run.ended("verify") is not None
    serves = variables(move.run.path("environment.new"))["LABELER_DB_URL"]
    assert serves.startswith("postgresql://labeler:")  # the role that serves, and not the superuser who moved it
    assert await rows(serves, "SELECT count(*) > 0 FROM annotations") == [(True,)]
    assert [(await fence.status(side)).mode for side in pair] == ["on", "off"]
    await execute(urls.target, "TRUNCATE keyless; INSERT INTO keyless VALUES (1, 'there')")
    async with database_pair.opened(urls) as both:
        await both.backward.replayed(30)
    assert await rows(urls.source, "SELECT * FROM keyless") == [(1, "there")]
    for sql in ("DELETE FROM keyless", "SET session_replication_role = replica; TRUNCATE keyless"):
        with pytest.raises(asyncpg.PostgresError) as raised:
            await execute(urls.source, sql)
        assert raised.value.sqlstate == fence.SQLSTATE
    await execute(urls.source, f"ALTER SUBSCRIPTION {database_pair.BACK} DISABLE")
    assert any(f"nobody reads the slot {database_pair.BACK}" in line for line in await warned(urls))
    await move.finalize()
    assert [await rows(side, LEFT) for side in pair] == [[], []]
    assert not (await fence.status(urls.source)).fenced
    with pytest.raises(DatabaseError, match="finalize has been done"):
        await move.rollback()


async def test_on_any_doubt_the_source_serves_on(pair: tuple[str, str], tmp_path: Path) -> None:
    """A row that somebody changed on the target, a table that was made meanwhile; then it goes on. And a dead side."""
    source, target = pair
    move = following(tmp_path, Urls(source, target), backup=False)
    await move.run_forward(until="following")
    assert any("NO BACKUP" in line for line in lines(move))
    await execute(target, "UPDATE annotations SET notes = 'not ours' WHERE id = 7")
    with pytest.raises(DatabaseError, match="not the same"):
        await through(move)
    await execute(source, "UPDATE annotations SET notes = 'still here' WHERE id = 8")
    await execute(target, "UPDATE annotations SET notes = NULL WHERE id = 7")
    await execute(source, "CREATE TABLE meanwhile (id int PRIMARY KEY)")
    with pytest.raises(DatabaseError, match="meanwhile"):
        await through(move)
    assert not (await fence.status(source)).fenced
    await execute(source, "DROP TABLE meanwhile")
    await through(move)
    assert await rows(target, "SELECT id FROM annotations WHERE notes = 'still here'") == [(8,)]
    assert (await compare_databases(source, target)).lines() == []
    listener = Listener()
    assert await drop_everything(Urls(source + "_away", target), listener) == ["source"]
    assert any("fills its disk" in line for line in listener.lines)
    assert await rows(target, LEFT) == []
    assert await drop_everything(Urls(source, target), listener) == []


async def warned(urls: Urls) -> list[str]:
    """Wait until the worker that was told to end has let go of its slot."""
    async with asyncio.timeout(20):
        while True:
            if found := (await replication_status(urls)).warnings:
                return found
            await asyncio.sleep(0.05)


async def test_before_it_was_opened_the_way_back_is_the_source(pair: tuple[str, str], tmp_path: Path) -> None:
    """Given up while it copies; then, in a new run, after the switch, with the source as its only way out."""
    source, target = pair
    move = following(tmp_path, Urls(source, target), backup=False)
    await move.run_forward(until="following")
    with pytest.raises(DatabaseError, match="after the switch"):
        await move.open()
    await move.rollback()
    assert [await rows(side, LEFT) for side in pair] == [[], []]
    assert (await fence.status(source)).mode == "off"
    assert source in (move.run.directory / "environment.rollback").read_text()
    await execute(target, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    again = following(tmp_path, Urls(source, target), backup=False)
    assert again.run.id != move.run.id
    await again.run_forward()
    assert [(await fence.status(side)).stands for side in pair] == [True, True]
    with pytest.raises(DatabaseError, match="before the target is open"):
        await again.finalize()
    await again.rollback()
    assert [(await fence.status(side)).stands for side in pair] == [False, True]
    assert [await rows(side, LEFT) for side in pair] == [[], []]


async def test_to_a_newer_major_and_back(servers: Servers, newer: PostgresServer, tmp_path: Path) -> None:
    source, _ = await servers.pair()
    await execute(newer.dsn("postgres"), "CREATE DATABASE moved TEMPLATE template0")
    move = following(tmp_path, Urls(source, newer.dsn("moved")))
    await through(move)
    assert (move.run.ended("backup") or {})["bytes"] > 0
    await execute(newer.dsn("moved"), "UPDATE annotations SET notes = 'there' WHERE id = 7")
    await move.rollback()
    assert await rows(source, "SELECT id FROM annotations WHERE notes = 'there'") == [(7,)]
    empty = source.rpartition("/")[0] + "/postgres"
    with pytest.raises(DatabaseError, match="older major"):
        await following(tmp_path, Urls(newer.dsn("moved"), empty)).run_forward()


async def test_what_is_missing_is_said_by_name(
    labeler_dsn: str, create_database: DatabaseFactory, servers: Servers, pair: tuple[str, str], tmp_path: Path
) -> None:
    """A source without a logical log; a role without rights; a target that is not empty; a route that leads nowhere."""
    with pytest.raises(DatabaseError, match=r"wal_level: is minimal on the source: ALTER SYSTEM SET wal_level"):
        await following(tmp_path / "1", Urls(labeler_dsn, await create_database())).run_forward()
    source, target = pair
    await execute(source, "CREATE UNLOGGED TABLE quick (id int); CREATE TABLE own (id int)")
    await execute(source, "CREATE ROLE reader LOGIN PASSWORD 'x'; GRANT pg_read_all_data TO reader")
    database = source.rpartition("/")[2]
    reader = servers.first.dsn(database, "reader", "x")
    nowhere = servers.first.dsn(database, password="x", user="nobody")
    await execute(target, "CREATE TABLE something (id int)")
    with pytest.raises(DatabaseError) as raised:
        await following(tmp_path / "2", Urls(reader, target, nowhere), reverse=False).run_forward()
    for said in (
        "target: is not empty",
        "1 unlogged tables, which are not replicated",
        "the source's role lacks REPLICATION",
        "does not own",
        "give the URL that it can use with --source-as-seen-by-target",
    ):
        assert said in str(raised.value)
    await execute(source, "DROP OWNED BY reader; DROP ROLE reader")


async def test_what_would_go_wrong_later_is_refused_at_once(pair: tuple[str, str], tmp_path: Path) -> None:
    """A slot that nobody remembers, the schema of before, rows that cannot be told apart, a source that is closed."""
    urls = Urls(*pair)
    async with database_pair.opened(urls) as both:
        await both.forward.publish()
    assert any("keeps" in line and "labeler move finalize" in line for line in await warned(urls))
    await execute(urls.source, "UPDATE alembic_version SET version_num = '20251124_0000'; CREATE TABLE odd (j json)")
    await fence.on(urls.source, reason="", by="somebody")
    move = following(tmp_path, urls)
    with pytest.raises(DatabaseError) as raised:
        await move.run_forward()
    for said in (
        f"left over: the source has the slot {database_pair.FORTH}_",
        "of a move that was not ended: `labeler move rollback --leftovers`",
        "the source stands at 20251124_0000, not at",
        "--mode dump, which upgrades the copy",
        "odd.j (json): give the table a primary key",
        "the source is in maintenance mode",
    ):
        assert said in str(raised.value)
    await move.rollback()
    assert await rows(urls.source, LEFT) == []
    assert (await fence.status(urls.source)).stands, "somebody else's fence was taken down"
