"""The move and the way back, with writers at work, and with the tool killed in every phase."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from labeler_ops.database.errors import DatabaseRefused
from labeler_ops.database.move.migration import Migration
from labeler_ops.database.move.preflight import Finding
from labeler_ops.database.verify.report import Report
from labeler_ops.database.verify.run import verify
from labeler_ops.maintenance import fence
from labeler_ops.runs import Run
from tests.fixtures.postgres import DatabaseFactory
from tests.labeler_ops.database.move.test_copy import execute

LABELER = Path(sys.executable).with_name("labeler")
WRITERS = 20
PHASES = ("backup", "maintenance", "copy", "verify", "switch")


class Listener:
    """Keeps what a person would see."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, done: int, total: int) -> None:
        """Nobody looks."""

    def findings(self, findings: list[Finding]) -> None:
        """Nobody looks."""

    def report(self, report: Report) -> None:
        self.lines += report.lines()


@pytest.fixture
async def source(labeler_dsn: str) -> str:
    """A Labeler DB with a project to annotate in."""
    await execute(
        labeler_dsn,
        "INSERT INTO datasets (id, name, owner_id, storage_path) VALUES ('ds_1', 'One', 2, 'datasets/ds_1/');"
        " INSERT INTO annotation_projects (id, name, dataset_id, owner_id) VALUES ('proj_1', 'One', 'ds_1', 2);"
        " INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, created_by)"
        " SELECT 'proj_1', n::text, 'bbox', 'detection', '{}', 2 FROM generate_series(1, 2000) n",
    )
    return labeler_dsn


@pytest.fixture
async def target(create_database: DatabaseFactory) -> str:
    return await create_database()


async def write(dsn: Callable[[], str | None], number: int, acknowledged: set[str]) -> None:
    """Annotate one image after another on the database that serves, until there is none to go on with."""
    count = 0
    while (url := dsn()) is not None:
        connection = await asyncpg.connect(url)
        try:
            while dsn() == url:
                image = f"{number}-{count}"
                await connection.execute(
                    "INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, created_by)"
                    " VALUES ('proj_1', $1, 'bbox', 'detection', '{}', 2)",
                    image,
                )
                acknowledged.add(image)
                count += 1
        except asyncpg.PostgresError as error:
            if error.sqlstate != fence.SQLSTATE:
                raise
            await asyncio.sleep(0.05)
        finally:
            await connection.close()


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
    assert json.loads(environment.partition("=")[2]) == target
    assert await move.rollback() == source
    assert not (await fence.status(source)).fenced
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


@pytest.mark.destructive
@pytest.mark.parametrize("phase", PHASES)
async def test_killed_in_a_phase_it_goes_on_and_comes_out_the_same(
    source: str, target: str, tmp_path: Path, phase: str
) -> None:
    command = [str(LABELER), "db", "migrate", "--source", source, "--target", target, "--runs", str(tmp_path)]
    run_id = await asyncio.to_thread(_killed_in, command, tmp_path, phase)
    again = await asyncio.to_thread(_finished, [*command, "--resume", run_id])
    assert again.returncode == 0, again.stderr
    run = Run.resume(tmp_path, run_id)
    assert all(run.ended(name) is not None for name in PHASES)
    assert (await verify(source, target)).lines() == []


def _killed_in(command: list[str], runs: Path, phase: str) -> str:
    """Kill the tool at the beginning of a phase, which the journal tells; the run's id."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    marker = f'"phase":"{phase}","event":"started"'
    while process.poll() is None:
        time.sleep(0.005)  # a look at a file; a phase takes a hundred times as long
        for journal in runs.glob("*/journal.jsonl"):
            if marker in journal.read_text():
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                return journal.parent.name
    raise AssertionError(f"it ended before {phase}")


def _finished(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, check=False)


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


async def test_a_fence_that_somebody_took_down_stops_the_switch(source: str, target: str, tmp_path: Path) -> None:
    move = Migration.begin(tmp_path, source, target, Listener())
    await move.migrate(until="verify")
    await fence.off(source, by="somebody")
    with pytest.raises(DatabaseRefused, match="fence does not stand"):
        await move.migrate()


async def test_production_s_schema_is_moved_and_upgraded(production_dsn: str, target: str, tmp_path: Path) -> None:
    """A database of today, which has no switch: it is fenced, copied, compared, and upgraded on the target."""
    move = Migration.begin(tmp_path, production_dsn, target, Listener())
    await move.migrate()
    connection = await asyncpg.connect(target)
    try:
        assert await connection.fetchval("SELECT count(*) FROM migration_report") > 0
        assert await connection.fetchval("SELECT mode FROM maintenance") == "on"
    finally:
        await connection.close()
