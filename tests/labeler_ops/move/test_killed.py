"""The tool killed with SIGKILL in every phase, there and back: given again, it comes to the same end."""

from pathlib import Path

import asyncpg
import pytest

from labeler_ops.database.verify.equality import compare_databases
from labeler_ops.maintenance import fence
from labeler_ops.move import move_report
from labeler_ops.runs import Run
from labeler_ops.storage.access import StorageAccess
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.sql import execute
from tests.fixtures.stored_objects import Objects, fill
from tests.labeler_ops.move.conftest import until_held_up
from tests.labeler_ops.move.moving import again, begun, everything, rows
from tests.labeler_ops.move.operator import Order, done, ended, start

OBJECTS = 30
MOMENTS = ("started", "ended")
KILLED = -9

pytestmark = pytest.mark.destructive


async def test_killed_at_every_moment_there_and_back(
    source: str,
    target: str,
    stores: tuple[StorageAccess, StorageAccess],
    source_objects: Objects,
    target_objects: Objects,
    create_database: DatabaseFactory,
    tmp_path: Path,
) -> None:
    """Each phase is killed as it begins, and when it has done its work and not written so down; then the way back."""
    await fill(source_objects, OBJECTS)
    ends = everything((source, target), stores)
    workflow = begun(tmp_path, ends)
    directory = workflow.run.directory
    after = ("open", "backfill")
    there = [phase.name for phase in workflow.phases(by_hand=True)]
    assert there[-2:] == list(after)
    for command, phases in (("go", there[:-2]), ("open", after)):
        for event in [(phase, moment) for phase in phases for moment in MOMENTS]:
            assert await done(Order(directory, ends, command, die_at=event)) == KILLED, event
        assert await done(Order(directory, ends, command)) == 0
    told = move_report.read(Run.read(directory))
    assert {phase.name for phase in told.phases} == set(there)
    assert all(phase.attempts == 3 for phase in told.phases), told.phases
    assert (await compare_databases(source, target)).digest == _digest(directory, "verify")
    whole = _digest(directory, "verify objects")

    await execute(target, "UPDATE annotations SET notes = 'there' WHERE id = 7")
    await target_objects.put("datasets/ds_1/images/later.jpg", b"later")
    local = await create_database()
    back = [phase.name for phase in workflow.phases_back(local)]
    for event in [(phase, moment) for phase in (*back, "rollback") for moment in MOMENTS]:
        assert await done(Order(directory, ends, "rollback", into=local, die_at=event)) == KILLED, event
    assert await done(Order(directory, ends, "rollback", into=local)) == 0
    assert (await compare_databases(target, local)).digest == _digest(directory, "back: verify")
    assert _digest(directory, "back: verify objects") != whole
    assert (await source_objects.get("datasets/ds_1/images/later.jpg")).body == b"later"
    told = move_report.read(Run.read(directory))
    assert told.state == "rolled back"
    assert len(told.stops) == 2
    assert told.same is True
    assert local.partition("@")[2] in (directory / "environment.rollback").read_text()
    assert [(await fence.status(side)).stands for side in (source, target, local)] == [True, True, False]
    assert await _notes(local) == ["there"]
    assert _runs(tmp_path) == [directory]


async def test_killed_in_the_middle_of_a_dump_and_of_a_restore(source: str, target: str, tmp_path: Path) -> None:
    """The programs that it started end with it, and what they left is in nobody's way."""
    ends = rows(source, target)
    run = begun(tmp_path, ends).run
    for side, hold in ((source, "LOCK TABLE annotations"), (target, "CREATE TABLE public.annotations (id int)")):
        holder = await asyncpg.connect(side)
        await holder.execute(f"BEGIN; {hold}")
        process = start(Order(run.directory, ends))
        await until_held_up(side)
        process.kill()
        assert await ended(process) == KILLED
        await holder.close()
    assert await done(Order(run.directory, ends)) == 0
    assert (await compare_databases(source, target)).digest == _digest(run.directory, "verify")
    assert not list(run.directory.glob("*.partial*"))
    assert again(run.directory, ends).run.ended("switch") is not None


def _runs(root: Path) -> list[Path]:
    return list(root.glob("*-move-*"))


def _digest(directory: Path, phase: str) -> str:
    return str((Run.read(directory).ended(phase) or {})["digest"])


async def _notes(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return [row[0] for row in await connection.fetch("SELECT notes FROM annotations WHERE notes IS NOT NULL")]
    finally:
        await connection.close()
