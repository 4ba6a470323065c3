"""Whose rates the estimate of a move takes: those of earlier runs that moved the same kind of thing."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from labeler_ops.database.roles import Database
from labeler_ops.move import estimate as estimates
from labeler_ops.move.context import KIND, MovePlan
from labeler_ops.runs import Run

_MEBIBYTE = 2**20
_ROWS: dict[str, dict[str, Any]] = {
    "backup": {"database_bytes": 100 * _MEBIBYTE},
    "copy": {"dump_seconds": 1.0, "restore_seconds": 3.0, "analyze_seconds": 1.0},
    "verify": {"seconds": 2.0},
}
_OBJECTS: dict[str, dict[str, Any]] = {"verify objects": {"bytes": 100 * _MEBIBYTE}}


async def test_a_run_of_another_database_is_not_counted(source: str, tmp_path: Path) -> None:
    rehearsal = await _run(tmp_path, "labeler", _ROWS)
    await _run(tmp_path, "users", _ROWS)  # the newest
    assert (await estimates.estimate(source, 0, tmp_path, "labeler")).rates_of == f"as in run {rehearsal}"
    unknown = await estimates.estimate(source, 0, tmp_path, "platform")
    assert unknown.rates_of == "a cautious guess; a rehearsal tells better"


async def test_rows_and_objects_are_estimated_by_the_newest_run_of_each(source: str, tmp_path: Path) -> None:
    both = await _run(tmp_path, "labeler", _ROWS | _OBJECTS)
    rows = await _run(tmp_path, "labeler", _ROWS)
    told = await estimates.estimate(source, 1000 * _MEBIBYTE, tmp_path, "labeler")
    assert told.rates_of == f"as in run {rows}; objects as in run {both}"
    assert told.seconds["verify objects"] != pytest.approx(1000 / 40)  # not the guess


async def test_a_move_of_one_part_is_estimated_by_that_part_alone(source: str, tmp_path: Path) -> None:
    rows = await _run(tmp_path, "labeler", _ROWS)
    objects = await _run(tmp_path, "labeler", _OBJECTS)
    assert (await estimates.estimate(source, 0, tmp_path, "labeler")).rates_of == f"as in run {rows}"
    assert (await estimates.estimate(None, _MEBIBYTE, tmp_path, "labeler")).rates_of == f"as in run {objects}"


def test_users_work_while_a_target_follows() -> None:
    told = estimates.Estimate([], {"backup": 9.0, "copy": 4.0, "verify": 2.0, "verify objects": 1.0}, "")
    assert estimates.seconds_without_writes(told, ["backup", "read only", "copy", "verify"]) == 7.0
    assert estimates.seconds_without_writes(told, ["backup", "following", "read only"]) == 3.0


async def _run(runs: Path, database: Database, phases: dict[str, dict[str, Any]]) -> str:
    run = Run.start(runs, KIND, {"plan": msgspec.to_builtins(MovePlan(database=database))})
    for name, facts in phases.items():
        with run.phase(name) as noted:
            noted.update(facts)
    await asyncio.sleep(1.01)  # the next run's id is a later second
    return run.id
