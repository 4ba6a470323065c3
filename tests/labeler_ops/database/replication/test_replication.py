"""The move by logical replication, there and back, with writers at work all the time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from labeler_ops.database.errors import DatabaseRefused
from labeler_ops.database.replication import replication, sides, status
from labeler_ops.database.replication.replication import Replication
from labeler_ops.database.replication.sides import Urls
from labeler_ops.database.verify.run import verify
from labeler_ops.maintenance import fence
from tests.fixtures.postgres import DatabaseFactory
from tests.labeler_ops.database.move.test_migration import Listener, more, written
from tests.labeler_ops.database.replication.conftest import Servers, execute, rows

WRITERS = 10
# A switch of a small database; on a slow machine the comparison of thirty tables is most of it.
SECONDS_WITHOUT_WRITES = 15.0

WRITE = """
    INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, created_by)
    VALUES ('proj_1', $1, 'bbox', 'detection', '{}', 2)
"""
LEFT = """
    SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE database = current_database()
    UNION ALL SELECT 'publication ' || pubname FROM pg_publication
    UNION ALL SELECT 'subscription ' || subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
              WHERE d.datname = current_database()
    UNION ALL SELECT 'identity ' || relname FROM pg_class WHERE relname = 'keyless' AND relreplident <> 'd'
"""


async def write(serving: list[str | None], number: int, acknowledged: set[str]) -> None:
    """Annotate one image after another on whichever database serves, until none does."""
    count = 0
    while (url := serving[-1]) is not None:
        connection = await asyncpg.connect(url)
        try:
            while serving[-1] == url:
                try:
                    await connection.execute(WRITE, f"{number}-{count}")
                except asyncpg.PostgresError as error:
                    if error.sqlstate != fence.SQLSTATE:
                        raise
                    await asyncio.sleep(0.2)  # as a client that was told to come back
                    continue
                acknowledged.add(f"{number}-{count}")
                count += 1
                await asyncio.sleep(0.02)
        finally:
            await connection.close()


@asynccontextmanager
async def writing(first: str) -> AsyncIterator[tuple[list[str | None], set[str]]]:
    serving: list[str | None] = [first]
    acknowledged: set[str] = set()
    writers = [asyncio.create_task(write(serving, number, acknowledged)) for number in range(WRITERS)]
    try:
        yield serving, acknowledged
    finally:
        serving.append(None)
        await asyncio.gather(*writers)


async def replayed(urls: Urls) -> None:
    async with sides.opened(urls) as both:
        await both.back.replayed(30)


async def test_there_and_back_with_writers_nothing_acknowledged_is_lost(pair: tuple[str, str], tmp_path: Path) -> None:
    source, target = pair
    move = Replication.begin(tmp_path, Urls(source, target), Listener())
    async with writing(source) as (serving, acknowledged):
        await move.start()
        await execute(source, "UPDATE keyless SET said = 'changed' WHERE n = 7; DELETE FROM keyless WHERE n = 8")
        await move.switch()
        serving.append(target)
        await more(acknowledged, len(acknowledged) + 50)
        await execute(target, "UPDATE keyless SET said = 'there' WHERE n = 9")
        await move.reverse()
        serving.append(source)
        await more(acknowledged, len(acknowledged) + 50)
    assert await written(source) == acknowledged
    assert await rows(source, "SELECT n, said FROM keyless WHERE said <> 'first' ORDER BY n") == [
        (7, "changed"),
        (9, "there"),
    ]
    assert (await fence.status(target)).stands
    for phase in ("open", "give-back"):
        assert (move.run.ended(phase) or {})["seconds_without_writes"] < SECONDS_WITHOUT_WRITES
    assert [await rows(side, LEFT) for side in pair] == [[], []]


async def test_the_fenced_source_follows_the_target_and_nobody_else_writes_there(
    pair: tuple[str, str], tmp_path: Path
) -> None:
    """Also with the rows compared after the target was opened, and what status says on the way."""
    urls = Urls(*pair)
    move = Replication.begin(tmp_path, urls, Listener())
    await move.start()
    found = await looked_at(urls)
    assert (found.forth.ready, found.back.there, found.warnings) == (True, False, [])
    assert [(await fence.status(side)).mode for side in pair] == ["off", "on"]
    await move.switch(compare_after=True)
    assert move.run.ended("prove") is not None
    assert [(await fence.status(side)).mode for side in pair] == ["on", "off"]
    await execute(urls.target, "TRUNCATE keyless; INSERT INTO keyless VALUES (1, 'there')")
    async with sides.opened(urls) as both:
        await both.back.replayed(30)
    assert await rows(urls.source, "SELECT * FROM keyless") == [(1, "there")]
    for sql in ("DELETE FROM keyless", "SET session_replication_role = replica; TRUNCATE keyless"):
        with pytest.raises(asyncpg.PostgresError) as raised:
            await execute(urls.source, sql)
        assert raised.value.sqlstate == fence.SQLSTATE
    await execute(urls.source, f"ALTER SUBSCRIPTION {sides.BACK} DISABLE")
    assert any(f"nobody reads the slot {sides.BACK}" in line for line in await warned(urls))
    await move.stop()
    assert [await rows(side, LEFT) for side in pair] == [[], []]
    assert not (await fence.status(urls.source)).fenced


async def test_on_any_doubt_the_source_serves_on(pair: tuple[str, str], tmp_path: Path) -> None:
    """A row that somebody changed on the target, a table that was made meanwhile; then it goes on. And a dead side."""
    source, target = pair
    move = Replication.begin(tmp_path, Urls(source, target), Listener())
    await move.start()
    await execute(target, "UPDATE annotations SET notes = 'not ours' WHERE id = 7")
    with pytest.raises(DatabaseRefused, match="not the same"):
        await move.switch()
    await execute(source, "UPDATE annotations SET notes = 'still here' WHERE id = 8")
    await execute(target, "UPDATE annotations SET notes = NULL WHERE id = 7")
    await execute(source, "CREATE TABLE meanwhile (id int PRIMARY KEY)")
    with pytest.raises(DatabaseRefused, match="meanwhile"):
        await move.switch()
    assert not (await fence.status(source)).fenced
    await execute(source, "DROP TABLE meanwhile")
    await move.switch()
    assert await rows(target, "SELECT id FROM annotations WHERE notes = 'still here'") == [(8,)]
    assert (await verify(source, target)).lines() == []
    listener = Listener()
    assert await replication.drop_everything(Urls(source + "_away", target), listener) == ["source"]
    assert any("fills its disk" in line for line in listener.lines)
    assert await rows(target, LEFT) == []
    assert await replication.drop_everything(Urls(source, target), listener) == []


async def looked_at(urls: Urls) -> status.Status:
    async with sides.opened(urls) as both:
        return await status.status(both)


async def warned(urls: Urls) -> list[str]:
    """Wait until the worker that was told to end has let go of its slot."""
    async with asyncio.timeout(20):
        while True:
            if found := (await looked_at(urls)).warnings:
                return found
            await asyncio.sleep(0.05)


async def test_what_is_missing_is_said_by_name(
    labeler_dsn: str, create_database: DatabaseFactory, servers: Servers, pair: tuple[str, str], tmp_path: Path
) -> None:
    """A source without a logical log; a role without rights; a target that is not empty; a route that leads nowhere."""
    with pytest.raises(DatabaseRefused, match=r"wal_level: is minimal on the source: ALTER SYSTEM SET wal_level"):
        await Replication.begin(tmp_path / "1", Urls(labeler_dsn, await create_database()), Listener()).start()
    source, target = pair
    await execute(source, "CREATE UNLOGGED TABLE quick (id int); CREATE TABLE own (id int)")
    await execute(source, "CREATE ROLE reader LOGIN PASSWORD 'x'; GRANT pg_read_all_data TO reader")
    database = source.rpartition("/")[2]
    reader = servers.first.dsn(database, "reader", "x")
    nowhere = servers.first.dsn(database, password="x", user="nobody")
    await execute(target, "CREATE TABLE something (id int)")
    with pytest.raises(DatabaseRefused) as raised:
        await Replication.begin(tmp_path / "2", Urls(reader, target, nowhere), Listener(), reverse=False).start()
    for said in (
        "target: is not empty",
        "1 unlogged tables, which are not replicated",
        "the source's role lacks REPLICATION",
        "does not own",
        "give the URL that it can use with --source-as-seen-by-target",
    ):
        assert said in str(raised.value)
    await execute(source, "DROP OWNED BY reader; DROP ROLE reader")
