"""`labeler move run --mode logical` as an operator gives it, with writers at work, and killed wherever it is."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from labeler_ops.database.verify.equality import compare_databases
from labeler_ops.maintenance import fence
from labeler_ops.move.context import Endpoints
from labeler_ops.move.replication.database_pair import Urls
from labeler_ops.move.workflow import MoveWorkflow
from tests.fixtures.sql import execute
from tests.labeler_ops.move.moving import again, through
from tests.labeler_ops.move.replication.conftest import rows
from tests.labeler_ops.move.replication.test_replication import LEFT
from tests.labeler_ops.move.test_migration import more, written

LABELER = Path(sys.executable).with_name("labeler")
WRITERS = 20
# A switch of a small database; on a slow machine the comparison of thirty tables is most of it.
SECONDS_WITHOUT_WRITES = 15.0
WRITE = """
    INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, created_by)
    VALUES ('proj_1', $1, 'bbox', 'detection', '{}', 2)
"""
RUN = ("run", "--mode", "logical", "--only", "databases")
KILLED_THERE = ("backup", "tables", "publication", "following", "write-stop", "switch")
KILLED_BACK = ("back: read only", "back: switch", "back: open")


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
                await asyncio.sleep(0.1)  # two hundred a second of all; the machine is wanted for the move
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


async def test_there_and_back_with_writers_nothing_acknowledged_is_lost(pair: tuple[str, str], tmp_path: Path) -> None:
    source, target = pair
    async with writing(source) as (serving, acknowledged):
        await _done(pair, tmp_path, *RUN, "--until", "following")
        run = ("--run", _only(tmp_path).name)
        await execute(source, "UPDATE keyless SET said = 'changed' WHERE n = 7; DELETE FROM keyless WHERE n = 8")
        await more(acknowledged, len(acknowledged) + 50)
        assert "copied, " in await _done(pair, tmp_path, "status", *run)
        assert "done already" in await _done(pair, tmp_path, "resume", *run)
        there = _seconds(await _done(pair, tmp_path, "open", *run))
        serving.append(target)
        await more(acknowledged, len(acknowledged) + 50)
        await execute(target, "UPDATE keyless SET said = 'there' WHERE n = 9")
        back = _seconds(await _done(pair, tmp_path, "rollback", *run))
        serving.append(source)
        await more(acknowledged, len(acknowledged) + 50)
    sys.stdout.write(f"{WRITERS} writers: {there} s without writes there, {back} s back\n")
    assert max(there, back) < SECONDS_WITHOUT_WRITES
    assert await written(source) == acknowledged
    assert await rows(source, "SELECT n, said FROM keyless WHERE said <> 'first' ORDER BY n") == [
        (7, "changed"),
        (9, "there"),
    ]
    assert [(await fence.status(side)).stands for side in pair] == [False, True]
    assert [await rows(side, LEFT) for side in pair] == [[], []]
    assert (_only(tmp_path) / "backup" / "SHA256SUMS").is_file()


@pytest.mark.destructive
async def test_killed_anywhere_there_and_back(pair: tuple[str, str], tmp_path: Path) -> None:
    """The same command goes on where it was; what was left on the servers is used, and gone at the end."""
    urls = Urls(*pair)
    for phase in KILLED_THERE:
        command = ("resume",) if _runs(tmp_path) else RUN
        await asyncio.to_thread(_killed_at, phase, urls, tmp_path, *command)
    run = _only(tmp_path).name
    await through(_again(urls, tmp_path, run))
    await execute(urls.target, "UPDATE annotations SET notes = 'there' WHERE id = 7")
    for phase in KILLED_BACK:
        await asyncio.to_thread(_killed_at, phase, urls, tmp_path, "rollback", "--run", run)
    await _again(urls, tmp_path, run).rollback()
    assert await rows(urls.source, "SELECT id FROM annotations WHERE notes = 'there'") == [(7,)]
    assert (await compare_databases(urls.source, urls.target)).lines() == []
    assert [await rows(side, LEFT) for side in pair] == [[], []]
    assert [(await fence.status(side)).stands for side in pair] == [False, True]


def _only(runs: Path) -> Path:
    """The one run: a command that is given again finds it."""
    (run,) = runs.iterdir()
    return run


def _runs(runs: Path) -> list[Path]:
    return list(runs.iterdir())


def _again(urls: Urls, runs: Path, run: str) -> MoveWorkflow:
    return again(runs / run, Endpoints(urls, None))


def _command(sides: tuple[str, str], runs: Path, *arguments: str) -> list[str]:
    return [str(LABELER), "move", *arguments, "--source", sides[0], "--target", sides[1], "--runs", str(runs)]


async def _done(sides: tuple[str, str], runs: Path, *arguments: str) -> str:
    command = _command(sides, runs, *arguments)
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _seconds(said: str) -> float:
    found = re.search(r"([\d.]+) s without writes", said)
    assert found, said
    return float(found[1])


def _killed_at(phase: str, urls: Urls, runs: Path, *arguments: str) -> None:
    """Kill the command as soon as the journal says, of itself and not of one before it, where it is."""
    marker = f'"phase":"{phase}","event":"{"noted" if phase == "write-stop" else "started"}"'
    before = _count(marker, runs)
    command = _command((urls.source, urls.target), runs, *arguments)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            if _count(marker, runs) > before:
                os.kill(process.pid, signal.SIGKILL)
                return
            time.sleep(0.002)  # a look at a file; a phase takes longer
        raise AssertionError(f"it ended before {phase}: {process.communicate()[1]}")


def _count(marker: str, runs: Path) -> int:
    return sum(journal.read_text().count(marker) for journal in runs.glob("*/journal.jsonl"))
