"""The move on the command line: step by step, looked at before, and stopped by a deployment that fails."""

import asyncio
import json
from pathlib import Path

import asyncpg
import psutil
from typer.testing import CliRunner, Result

from labeler_ops.cli import app
from labeler_ops.maintenance import fence

ROWS = ("--only", "databases")


async def labeler(*arguments: str) -> Result:
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, ["move", *arguments], catch_exceptions=False))


async def test_a_move_step_by_step_with_a_deployment_that_fails_first(source: str, target: str, tmp_path: Path) -> None:
    sides = ("--source", source, "--target", target, "--runs", str(tmp_path))
    looked = await labeler("check", *ROWS, *sides)
    assert looked.exit_code == 0
    assert _runs(tmp_path) == []
    assert "nothing was changed" in looked.output
    assert "a cautious guess" in looked.output
    assert not await _tables(target)

    assert (await labeler("run", *ROWS, *sides, "--until", "backup")).exit_code == 0
    (run,) = _runs(tmp_path)
    assert not (await fence.status(source)).fenced
    known = await labeler("status", "--runs", str(tmp_path))
    assert f"move {run.name}: " in known.output
    assert "backup" in known.output
    assert (await labeler("resume", *sides, "--until", "copy")).exit_code == 0  # the one that is not over
    beside = await labeler("run", *ROWS, *sides)
    assert beside.exit_code == 1
    assert f"labeler move resume --run {run.name}" in beside.output
    switched = await labeler("resume", "--run", run.name, *sides)
    assert f"labeler move open --run {run.name}" in switched.output

    failed = await labeler("resume", *sides, "--run", run.name, "--deploy", "echo no room; exit 3")
    assert failed.exit_code == 1
    assert "  no room\n" in failed.output
    assert "ended with 3; the target is closed as before" in failed.output
    assert _report(run)["state"] == "switched, not open; stopped at deploy"
    deploy = 'grep -c LABELER_DB_URL "$LABELER_NEW_ENVIRONMENT"'
    deployed = await labeler("resume", *sides, "--run", run.name, "--deploy", deploy)
    assert deployed.exit_code == 0
    assert "  1\n" in deployed.output
    assert (await fence.status(target)).stands

    assert (await labeler("open", "--run", run.name, *sides)).exit_code == 0
    assert (await labeler("finalize", "--run", run.name, *sides)).exit_code == 0
    assert _report(run)["state"] == "final"
    over = await labeler("status", "--runs", str(tmp_path))
    assert f"move {run.name}: " in over.output  # the last one, over or not
    assert ": final" in over.output
    assert "The same: every row" in (run / "report.txt").read_text()
    again = await labeler("check", *ROWS, *sides)
    assert again.exit_code == 1  # the target is not empty
    assert "as in run" in again.output


async def test_a_deployment_that_leaves_services_at_work_is_not_waited_for(
    source: str, target: str, tmp_path: Path
) -> None:
    """What it starts inherits its output, and would keep a pipe open for as long as it serves."""
    ready = tmp_path / "served"
    started = f"sleep 60 & echo $! > {ready}; printf 'half a line, '; sleep 0.3; echo and its rest"
    sides = ("--source", source, "--target", target, "--runs", str(tmp_path / "runs"))
    try:
        async with asyncio.timeout(30):
            done = await labeler("run", *ROWS, *sides, "--deploy", started)
        assert done.exit_code == 0, done.output
        assert "  half a line, and its rest\n" in done.output
        psutil.Process(int(ready.read_text()))  # it serves on
    finally:
        psutil.Process(int(ready.read_text())).kill()
    (run,) = _runs(tmp_path / "runs")
    assert (run / "deploy.log").read_text() == "half a line, and its rest\n"


async def test_wrong_use_is_said_before_anything_is_done(source: str, target: str, tmp_path: Path) -> None:
    sides = ("--source", source, "--target", target, "--runs", str(tmp_path))
    for command, options, said in (
        ("run", ("--smoke-url", "https://x.example"), "--smoke-email"),
        ("run", ("--smoke-url", "x", "--smoke-email", "a@b.c"), "--smoke-url: expected http"),
        ("run", ("--database", "users", "--mode", "logical"), "--mode dump"),
        ("run", ("--database", "people"), "expected labeler, users or platform"),
        ("run", ("--until", "lunch"), "--until: expected one of check, backup, tables"),
        ("resume", ("--run", "none"), "there is no run"),
        ("resume", (), "there is no move in"),
    ):
        refused = await labeler(command, *(ROWS if command == "run" else ()), *sides, *options)
        assert refused.exit_code in {1, 2}, refused.output
        assert said in refused.output
    everything = await labeler("run", *sides)
    assert everything.exit_code == 2
    assert "--only databases" in everything.output
    assert _runs(tmp_path) == []


async def _tables(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return [row[0] for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    finally:
        await connection.close()


async def test_the_run_is_the_last_one_of_the_databases_that_are_given(
    source: str, target: str, tmp_path: Path
) -> None:
    """The three databases have a run each in one directory, and none of them is over for days."""
    there = ("--source", source, "--target", target, "--runs", str(tmp_path))
    back = ("--source", target, "--target", source, "--runs", str(tmp_path))
    assert (await labeler("run", *ROWS, *there, "--until", "check")).exit_code == 0
    (first,) = _runs(tmp_path)
    await asyncio.sleep(1)  # an id is made of the second and the process, and both are of this one
    assert (await labeler("run", *ROWS, *back)).exit_code == 1  # its target is not empty
    resumed = await labeler("resume", *there, "--until", "check")
    assert resumed.exit_code == 0, resumed.output
    assert f"run {first.name}" in resumed.output
    assert f"move {first.name}: " in (await labeler("status", *there)).output


def _runs(root: Path) -> list[Path]:
    return list(root.iterdir())


def _report(run: Path) -> dict[str, object]:
    report: dict[str, object] = json.loads((run / "report.json").read_text())
    return report
