"""The tool killed with SIGKILL in every phase, there and back: given again, it comes to the same end."""

from pathlib import Path

import asyncpg
import pytest

from labeler_ops.database.move import report
from labeler_ops.database.move.migration import Migration
from labeler_ops.database.verify.run import verify
from labeler_ops.maintenance import fence
from labeler_ops.runs import Run
from tests.fixtures.postgres import DatabaseFactory
from tests.labeler_ops.database.move.conftest import execute, until_held_up
from tests.labeler_ops.database.move.operator import Order, ended, start
from tests.labeler_ops.listening import Listener

PHASES = ("preflight", "backup", "maintenance", "copy", "verify", "upgrade", "switch")
MOMENTS = ("started", "ended")
KILLED = -9

pytestmark = pytest.mark.destructive


async def test_killed_at_every_moment_there_and_back(
    source: str, target: str, create_database: DatabaseFactory, tmp_path: Path
) -> None:
    """Each phase is killed as it begins, and when it has done its work and not written so down; then the way back."""
    run = Migration.begin(tmp_path, source, target, Listener()).run
    for phase in PHASES:
        for moment in MOMENTS:
            died = await ended(start(Order(run.directory, source, target, die_at=(phase, moment))))
            assert died == KILLED, (phase, moment)
    assert await ended(start(Order(run.directory, source, target))) == 0
    run.read_again()
    await _require_same(run, source, target)
    move = Migration(run, source, target, Listener())
    await move.open()
    await execute(target, "UPDATE annotations SET notes = 'there' WHERE id = 7")

    local = await create_database()
    events = [(phase, moment) for phase in (*PHASES, "open", "rollback") for moment in MOMENTS]
    for event in [("rollback", "noted"), *events]:
        died = await ended(start(Order(run.directory, source, target, back_into=local, die_at=event)))
        assert died == KILLED, event
    assert await ended(start(Order(run.directory, source, target, back_into=local))) == 0
    # Of the two, one was killed before its journal was named by the first run's: it had done nothing.
    back = _longest(tmp_path)
    await _require_same(Run.read(back), target, local)
    run.read_again()
    assert run.ended("rollback") == {"into": report.read(Run.read(back)).target}
    assert str(local).partition("@")[2] in run.path("environment.rollback").read_text()
    assert [(await fence.status(side)).stands for side in (source, target, local)] == [True, True, False]
    assert await _notes(local) == ["there"]


async def test_killed_in_the_middle_of_a_dump_and_of_a_restore(source: str, target: str, tmp_path: Path) -> None:
    """The programs that it started end with it, and what they left is in nobody's way."""
    run = Migration.begin(tmp_path, source, target, Listener()).run
    for side, hold in ((source, "LOCK TABLE annotations"), (target, "CREATE TABLE public.annotations (id int)")):
        holder = await asyncpg.connect(side)
        await holder.execute(f"BEGIN; {hold}")
        process = start(Order(run.directory, source, target))
        await until_held_up(side)
        process.kill()
        assert await ended(process) == KILLED
        await holder.close()
    assert await ended(start(Order(run.directory, source, target))) == 0
    run.read_again()
    await _require_same(run, source, target)
    assert not list(run.directory.glob("*.partial*"))


def _longest(runs: Path) -> Path:
    return max(runs.glob("*-rollback-*"), key=lambda path: (path / "journal.jsonl").stat().st_size)


async def _require_same(run: Run, source: str, target: str) -> None:
    """Both sides are the same now, and what was compared then is what they are now."""
    now = await verify(source, target)
    assert now.lines() == []
    assert (run.ended("verify") or {})["digest"] == now.digest


async def _notes(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return [row[0] for row in await connection.fetch("SELECT notes FROM annotations WHERE notes IS NOT NULL")]
    finally:
        await connection.close()
