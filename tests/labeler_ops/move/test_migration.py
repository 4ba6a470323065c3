"""The move and the way back, with writers at work."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from labeler_ops.database.upgrade import upgrade
from labeler_ops.database.verify.equality import compare_databases
from labeler_ops.errors import DatabaseError
from labeler_ops.maintenance import fence
from labeler_ops.move import move_report
from labeler_ops.move.context import RunOptions
from labeler_ops.runs import Run
from labeler_ops.storage.access import StorageAccess
from tests.fixtures.move_variables import variables
from tests.fixtures.pictures import picture
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.sql import execute
from tests.fixtures.stored_objects import Objects
from tests.labeler_ops.move.moving import begun, everything, lines, rows
from tests.labeler_ops.move.operator import Order, done

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
        move = begun(tmp_path, rows(source, target))
        await move.run_forward()
        serving.append(target)
        await move.open()
        on_arrival = len(acknowledged)
        await more(acknowledged, on_arrival + 50)
        local = await create_database()
        await move.rollback(local)
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
    move = begun(tmp_path, rows(source, target))
    await move.run_forward()
    assert (await fence.status(target)).mode == "on"
    url = variables(move.run.path("environment.new"))["LABELER_DB_URL"]
    assert url.startswith("postgresql://labeler:")  # the role that serves, and not the superuser who moved it
    assert url.partition("@")[2] == target.partition("@")[2]
    assert move_report.read(move.run).state == "switched, not open"
    assert move_report.write(move.run).seconds_without_writes is None
    await move.rollback()
    assert not (await fence.status(source)).fenced
    written_down = move_report.write(move.run)
    assert written_down.state == "rolled back"
    assert written_down.same is True
    assert written_down.differences == []
    assert (written_down.seconds_without_writes or 0) > 0
    assert "nobody could write for" in move.run.path("report.txt").read_text()
    with pytest.raises(DatabaseError, match="rollback has been done"):
        await move.run_forward()


async def test_after_it_was_opened_the_way_back_needs_a_database(source: str, target: str, tmp_path: Path) -> None:
    move = begun(tmp_path, rows(source, target))
    await move.run_forward()
    await move.open()
    with pytest.raises(DatabaseError, match="--into"):
        await move.rollback()
    await move.finalize()
    assert not (await fence.status(source)).fenced
    with pytest.raises(DatabaseError, match="finalize has been done"):
        await move.rollback()


async def test_somebody_who_writes_past_the_fence_is_noticed(source: str, target: str, tmp_path: Path) -> None:
    move = begun(tmp_path, rows(source, target))
    await move.run_forward(until="copy")
    await execute(source, f"DROP FUNCTION {fence.NAME}() CASCADE; UPDATE annotations SET notes = 'late' WHERE id = 7")
    with pytest.raises(DatabaseError, match="not the same"):
        await move.run_forward()
    assert any("annotations: (7) differs" in line for line in lines(move))
    assert move.run.ended("switch") is None


async def test_without_its_target_the_source_serves_again(
    source: str, target: str, create_database: DatabaseFactory, tmp_path: Path
) -> None:
    """The target is closed until it is opened: when it is lost before that, nothing is."""
    move = begun(tmp_path, rows(source, target))
    await move.run_forward()
    await create_database.drop(target)
    await move.rollback()
    assert not (await fence.status(source)).fenced


async def test_a_closed_target_whose_fence_was_taken_down_is_no_safe_way_back(
    production_dsn: str, target: str, tmp_path: Path
) -> None:
    """Its rows are in another form than the source's, so only the fence says that nobody wrote."""
    move = begun(
        tmp_path, rows(production_dsn, target), RunOptions(accept_quarantine=True), legacy_timezone="Asia/Seoul"
    )
    await move.run_forward()
    with pytest.raises(asyncpg.PostgresError, match="maintenance mode"):
        await execute(target, "UPDATE annotations SET notes = 'early'")
    await fence.off(target, by="somebody")
    with pytest.raises(DatabaseError, match="target's fence does not stand"):
        await move.rollback()
    await fence.on(target, reason="again", by="somebody")
    await move.rollback()
    assert not (await fence.status(production_dsn)).fenced


async def test_an_opening_that_was_cut_off_is_finished_before_a_way_back(
    source: str, target: str, tmp_path: Path
) -> None:
    """Users may have written since; the source would not know."""
    move = begun(tmp_path, rows(source, target))
    await move.run_forward()
    order = Order(move.run.directory, rows(source, target), "open", die_at=("open", "ended"))
    assert await done(order) < 0
    with pytest.raises(DatabaseError, match="open` was cut off"):
        await move.rollback()


async def test_a_way_back_that_was_opened_is_the_only_one(
    source: str, target: str, create_database: DatabaseFactory, tmp_path: Path
) -> None:
    """Users may write there already: a second copy of the target would lose that."""
    move = begun(tmp_path, rows(source, target))
    await move.run_forward()
    await move.open()
    first, second = await create_database(), await create_database()

    order = Order(move.run.directory, rows(source, target), "rollback", into=first, die_at=("rollback", "started"))
    assert await done(order) < 0
    move.run.read_again()
    with pytest.raises(DatabaseError, match="was opened already"):
        await move.rollback(second)
    await move.rollback(first)
    assert not (await fence.status(first)).fenced


async def test_another_way_back_begins_anew_until_users_were_let_in(
    source: str, target: str, create_database: DatabaseFactory, tmp_path: Path
) -> None:
    """What was done on the way to the first database is not taken for done on the way to the second."""
    move = begun(tmp_path, rows(source, target))
    await move.run_forward()
    await move.open()
    first, second = await create_database(), await create_database()
    order = Order(move.run.directory, rows(source, target), "rollback", into=first, die_at=("back: switch", "ended"))
    assert await done(order) < 0
    await move.rollback(second)
    assert await written(second) == await written(target)
    assert (await compare_databases(target, second)).lines() == []
    assert Run.read(move.run.directory).ended("rollback") is not None


async def test_a_fence_that_somebody_took_down_stops_the_switch(source: str, target: str, tmp_path: Path) -> None:
    move = begun(tmp_path, rows(source, target))
    await move.run_forward(until="verify")
    await fence.off(source, by="somebody")
    with pytest.raises(DatabaseError, match="fence does not stand"):
        await move.run_forward()


async def test_the_id_that_the_buckets_name_moves_with_the_database(source: str, target: str, tmp_path: Path) -> None:
    ids = []
    await begun(tmp_path, rows(source, target)).run_forward()
    for dsn in (source, target):
        connection = await asyncpg.connect(dsn)
        ids.append(await connection.fetchval("SELECT id FROM labeler_identity"))
        await connection.close()
    assert ids[0] == ids[1]


async def test_a_labeler_db_that_was_upgraded_and_has_no_rows_is_a_target(
    source: str, target: str, tmp_path: Path
) -> None:
    """So a first deployment leaves it: its tables, the identity that the API gave it, and nothing of anybody.

    Somebody has looked at it with `labeler smoke`: its dataset is gone, its requests' keys count for a day.
    """
    await upgrade(target)
    await execute(target, "INSERT INTO labeler_identity DEFAULT VALUES ON CONFLICT DO NOTHING")
    await execute(
        target, "INSERT INTO idempotency_keys (user_id, key, operation, request_sha256) VALUES (2, 'k', 'o', 'f')"
    )
    move = begun(tmp_path, rows(source, target))
    await execute(target, "INSERT INTO datasets (id, name, owner_id, storage_path) VALUES ('x', 'x', 1, 'x')")
    with pytest.raises(DatabaseError, match=r"target: is not empty \(there are rows in datasets\)"):
        await move.run_forward()
    await execute(target, "DELETE FROM datasets")
    await move.run_forward()
    assert (await compare_databases(source, target)).lines() == []


async def test_images_of_before_have_their_sizes_after_the_move(
    source: str, target: str, stores: tuple[StorageAccess, StorageAccess], source_objects: Objects, tmp_path: Path
) -> None:
    """Without them an export to YOLO is refused."""
    await source_objects.put("datasets/ds_1/images/a.jpg", picture(12, 8))
    await execute(
        source,
        "INSERT INTO image_metadata (dataset_id, id, file_name, size, s3_key)"
        " VALUES ('ds_1', 'a', 'a.jpg', 1, 'datasets/ds_1/images/a.jpg')",
    )
    move = begun(tmp_path, everything((source, target), stores))
    await move.run_forward()
    await move.open()
    connection = await asyncpg.connect(target)
    try:
        row = await connection.fetchrow("SELECT width, height, content_type FROM image_metadata WHERE id = 'a'")
    finally:
        await connection.close()
    assert row is not None
    assert row["width"] == 12
    assert row["height"] == 8
    assert row["content_type"] == "image/jpeg"
    assert (move.run.ended("backfill") or {})["filled"] == 1
    # The store of before named no database, so nothing is deleted in the new one until somebody says whose it is.
    assert [line for line in lines(move) if "nothing is deleted in the bucket" in line] != []
    assert lines(move)[-1] == "next, with the services' environment: labeler storage adopt"


async def test_a_store_that_is_away_keeps_nobody_from_working(
    source: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sizes are filled in when it is back, by the same command."""
    away = {"S3_ENDPOINT": "http://127.0.0.1:1", "S3_ACCESS_KEY": "a", "S3_SECRET_KEY": "b"}
    for name, value in away.items():
        monkeypatch.setenv(name, value)
    await execute(
        source,
        "INSERT INTO image_metadata (dataset_id, id, file_name, size, s3_key)"
        " VALUES ('ds_1', 'a', 'a.jpg', 1, 'datasets/ds_1/images/a.jpg')",
    )
    move = begun(tmp_path, rows(source, target))
    await move.run_forward()
    with pytest.raises(DatabaseError, match="users work, and some images lack their sizes still"):
        await move.open()
    assert move.run.ended("open") is not None
    assert move.run.ended("backfill") is None
    assert not (await fence.status(target)).fenced
