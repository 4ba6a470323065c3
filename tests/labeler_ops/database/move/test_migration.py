"""The move and the way back, with writers at work."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from labeler_ops.database.errors import DatabaseRefused
from labeler_ops.database.move import report
from labeler_ops.database.move.migration import Migration
from labeler_ops.maintenance import fence
from tests.fixtures.postgres import DatabaseFactory
from tests.labeler_ops.database.move.conftest import execute
from tests.labeler_ops.listening import Listener

WRITERS = 20
_PAUSE_SECONDS = 0.1  # of a writer: two hundred writes a second from all, and time for the move itself


async def write(dsn: Callable[[], str | None], number: int, acknowledged: set[str]) -> None:
    """Annotate one image after another on the database that serves, until there is none to go on with."""
    count = 0
    while (url := dsn()) is not None:
        connection = await asyncpg.connect(url)
        try:
            while dsn() == url:
                if await _annotated(connection, image := f"{number}-{count}"):
                    acknowledged.add(image)
                    count += 1
                await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            await connection.close()


async def _annotated(connection: "asyncpg.Connection[asyncpg.Record]", image: str) -> bool:
    try:
        await connection.execute(
            "INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, created_by)"
            " VALUES ('proj_1', $1, 'bbox', 'detection', '{}', 2)",
            image,
        )
    except asyncpg.PostgresError as error:
        if error.sqlstate != fence.SQLSTATE:
            raise
        return False
    return True


async def more(acknowledged: set[str], than: int) -> None:
    async with asyncio.timeout(30):
        while True:
            if len(acknowledged) > than:
                return
            await asyncio.sleep(0.01)


async def written(dsn: str) -> set[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return {row[0] for row in await connection.fetch("SELECT image_id FROM annotations WHERE image_id LIKE '%-%'")}
    finally:
        await connection.close()


async def test_no_acknowledged_write_is_lost_on_the_way_there_and_back(
    source: str, target: str, create_database: DatabaseFactory, tmp_path: Path
) -> None:
    serving: list[str | None] = [source]
    acknowledged: set[str] = set()
    writers = [asyncio.create_task(write(lambda: serving[-1], number, acknowledged)) for number in range(WRITERS)]
    try:
        move = Migration.begin(tmp_path, source, target, Listener())
        await move.migrate()
        serving.append(target)
        await move.open()
        on_arrival = len(acknowledged)
        await more(acknowledged, on_arrival + 50)
        local = await create_database()
        assert await move.rollback(local) == local
        serving.append(local)
        back = len(acknowledged)
        await more(acknowledged, back + 50)
    finally:
        serving.append(None)
        await asyncio.gather(*writers)
    assert await written(local) == acknowledged
    assert await written(target) < acknowledged
    assert (await fence.status(source)).stands
    assert (await fence.status(target)).stands


async def test_before_it_was_opened_the_way_back_is_the_source(source: str, target: str, tmp_path: Path) -> None:
    move = Migration.begin(tmp_path, source, target, Listener())
    await move.migrate()
    assert (await fence.status(target)).mode == "on"
    environment = (move.run.directory / "environment.new").read_text()
    url: str = json.loads(environment.partition("=")[2])
    assert url.startswith("postgresql://labeler:")  # the role that serves, and not the superuser who moved it
    assert url.partition("@")[2] == target.partition("@")[2]
    assert report.read(move.run).state == "switched, not open"
    assert report.write(move.run).seconds_without_writes is None
    assert await move.rollback() == source
    assert not (await fence.status(source)).fenced
    written_down = report.write(move.run)
    assert (written_down.state, written_down.same, written_down.differences) == ("rolled back", True, [])
    assert (written_down.seconds_without_writes or 0) > 0
    assert "nobody could write for" in move.run.path("report.txt").read_text()
    with pytest.raises(DatabaseRefused, match="rollback has been done"):
        await move.migrate()


async def test_after_it_was_opened_the_way_back_needs_a_database(source: str, target: str, tmp_path: Path) -> None:
    move = Migration.begin(tmp_path, source, target, Listener())
    await move.migrate()
    await move.open()
    with pytest.raises(DatabaseRefused, match="--into"):
        await move.rollback()
    await move.finalize()
    assert not (await fence.status(source)).fenced
    with pytest.raises(DatabaseRefused, match="finalize has been done"):
        await move.rollback()


async def test_somebody_who_writes_past_the_fence_is_noticed(source: str, target: str, tmp_path: Path) -> None:
    move = Migration.begin(tmp_path, source, target, Listener())
    await move.migrate(until="copy")
    await execute(source, f"DROP FUNCTION {fence.NAME}() CASCADE; UPDATE annotations SET notes = 'late' WHERE id = 7")
    with pytest.raises(DatabaseRefused, match="not the same"):
        await move.migrate()
    assert any("annotations: (7) differs" in line for line in lines(move))
    assert move.run.ended("switch") is None


def lines(move: Migration) -> list[str]:
    voice = move.voice
    assert isinstance(voice, Listener)
    return voice.lines


async def test_without_its_target_the_source_serves_again(
    source: str, target: str, create_database: DatabaseFactory, tmp_path: Path
) -> None:
    """The target is closed until it is opened: when it is lost before that, nothing is."""
    move = Migration.begin(tmp_path, source, target, Listener())
    await move.migrate()
    await create_database.drop(target)
    assert await move.rollback() == source
    assert not (await fence.status(source)).fenced


async def test_a_closed_target_whose_fence_was_taken_down_is_no_safe_way_back(
    production_dsn: str, target: str, tmp_path: Path
) -> None:
    """Its rows are in another form than the source's, so only the fence says that nobody wrote."""
    move = Migration.begin(tmp_path, production_dsn, target, Listener(), legacy_timezone="Asia/Seoul")
    move.accept_quarantine = True
    await move.migrate()
    with pytest.raises(asyncpg.PostgresError, match="maintenance mode"):
        await execute(target, "UPDATE annotations SET notes = 'early'")
    await fence.off(target, by="somebody")
    with pytest.raises(DatabaseRefused, match="target's fence does not stand"):
        await move.rollback()
    await fence.on(target, reason="again", by="somebody")
    assert await move.rollback() == production_dsn


async def test_an_opening_that_was_cut_off_is_finished_before_a_way_back(
    source: str, target: str, tmp_path: Path
) -> None:
    """Users may have written since; the source would not know."""
    move = Migration.begin(tmp_path, source, target, Listener())
    await move.migrate()
    with pytest.raises(KeyboardInterrupt), move.run.phase("open"):
        raise KeyboardInterrupt
    with pytest.raises(DatabaseRefused, match="open` was cut off"):
        await move.rollback()


async def test_a_way_back_that_was_opened_is_the_only_one(
    source: str, target: str, create_database: DatabaseFactory, tmp_path: Path
) -> None:
    """Users may write there already: a second copy of the target would lose that."""
    move = Migration.begin(tmp_path, source, target, Listener())
    await move.migrate()
    await move.open()
    first, second = await create_database(), await create_database()

    async def cut_off(back: Migration) -> None:
        await back.open()
        raise DatabaseRefused("the operator's machine went away")

    with pytest.raises(DatabaseRefused, match="went away"):
        await move.rollback(first, launch=cut_off)
    with pytest.raises(DatabaseRefused, match="was opened already"):
        await move.rollback(second)
    assert await move.rollback(first) == first


async def test_a_fence_that_somebody_took_down_stops_the_switch(source: str, target: str, tmp_path: Path) -> None:
    move = Migration.begin(tmp_path, source, target, Listener())
    await move.migrate(until="verify")
    await fence.off(source, by="somebody")
    with pytest.raises(DatabaseRefused, match="fence does not stand"):
        await move.migrate()


async def test_the_id_that_the_buckets_name_moves_with_the_database(source: str, target: str, tmp_path: Path) -> None:
    ids = []
    await Migration.begin(tmp_path, source, target, Listener()).migrate()
    for dsn in (source, target):
        connection = await asyncpg.connect(dsn)
        ids.append(await connection.fetchval("SELECT id FROM labeler_identity"))
        await connection.close()
    assert ids[0] == ids[1]
