"""The move on the command line: step by step, looked at before, and stopped by a deployment that fails."""

import asyncio
import json
from pathlib import Path

import asyncpg
from typer.testing import CliRunner, Result

from labeler_ops.cli import app
from labeler_ops.maintenance import fence


async def labeler(*arguments: str) -> Result:
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, ["db", *arguments], catch_exceptions=False))


async def test_a_move_step_by_step_with_a_deployment_that_fails_first(source: str, target: str, tmp_path: Path) -> None:
    sides = ("--source", source, "--target", target, "--runs", str(tmp_path))
    looked = await labeler("migrate", *sides, "--dry-run")
    assert (looked.exit_code, _runs(tmp_path)) == (0, [])
    assert "nothing was changed" in looked.output
    assert "a cautious guess" in looked.output
    assert not await _tables(target)

    assert (await labeler("backup", *sides)).exit_code == 0
    (run,) = _runs(tmp_path)
    assert not (await fence.status(source)).fenced
    done = await labeler("copy", "--run", run.name, *sides, "--dry-run")
    assert "done: preflight, backup; the rest would follow" in done.output
    assert (await labeler("copy", "--run", run.name, *sides)).exit_code == 0
    switched = await labeler("switch", "--run", run.name, *sides)
    assert f"labeler db open --run {run.name}" in switched.output

    failed = await labeler("migrate", *sides, "--resume", run.name, "--deploy", "echo no room; exit 3")
    assert failed.exit_code == 1
    assert "  no room\n" in failed.output
    assert "ended with 3; the target is closed as before" in failed.output
    assert _report(run)["state"] == "switched, not open; stopped at deploy environment.new"
    deploy = 'grep -c LABELER_DB_URL "$LABELER_NEW_ENVIRONMENT"'
    deployed = await labeler("migrate", *sides, "--resume", run.name, "--deploy", deploy)
    assert (deployed.exit_code, "  1\n" in deployed.output) == (0, True)

    opening = await labeler("open", "--run", run.name, *sides, "--dry-run")
    assert "switched, not open" in opening.output
    assert (await fence.status(target)).stands
    assert (await labeler("open", "--run", run.name, *sides)).exit_code == 0
    assert (await labeler("finalize", "--run", run.name, *sides)).exit_code == 0
    assert _report(run)["state"] == "final"
    assert "The same: every row" in (run / "report.txt").read_text()
    again = await labeler("migrate", *sides, "--dry-run")
    assert again.exit_code == 1  # the target is not empty


async def test_wrong_use_is_said_before_anything_is_done(source: str, target: str, tmp_path: Path) -> None:
    sides = ("--source", source, "--target", target, "--runs", str(tmp_path))
    for options, said in (
        (("--smoke-url", "https://x.example"), "--smoke-email"),
        (("--smoke-url", "x", "--smoke-email", "a@b.c"), "--smoke-url: expected http"),
        (("--database", "users", "--mode", "logical"), "--mode dump"),
        (("--resume", "none"), "there is no run"),
    ):
        refused = await labeler("migrate", *sides, *options)
        assert refused.exit_code in {1, 2}
        assert said in refused.output
    assert _runs(tmp_path) == []


async def _tables(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return [row[0] for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    finally:
        await connection.close()


def _runs(root: Path) -> list[Path]:
    return list(root.iterdir())


def _report(run: Path) -> dict[str, object]:
    report: dict[str, object] = json.loads((run / "report.json").read_text())
    return report
