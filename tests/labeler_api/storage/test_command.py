"""`labeler storage sweep`."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from labeler_api.storage.orphans import sweep
from labeler_api.storage.orphans.sweep import SweepReport
from labeler_ops.cli import app
from labeler_ops.storage.sweeping import show
from tests.fixtures.api import Api
from tests.fixtures.full_dataset import full_dataset, objects_of
from tests.fixtures.sweeps import DATASETS, environment, put_many, week_passes
from tests.fixtures.versions import stored_keys


def command(api: Api, *arguments: str, **variables: str) -> Result:
    """Run the command in this process, in a thread of its own: it has an event loop of its own."""
    return CliRunner().invoke(app, ["storage", "sweep", *arguments], env=environment(api) | variables)


async def test_the_command_line(api: Api) -> None:
    made = await full_dataset(api)
    for arguments in ((), ("--dry-run",)):
        told = await asyncio.to_thread(command, api, *arguments)
        assert told.exit_code == 0
        assert told.stdout == "8 objects examined, none of them orphaned.\n"
    done = await asyncio.to_thread(command, api, "--remove", "--json")
    report = msgspec.json.decode(done.stdout)
    assert done.exit_code == 0
    assert report["dry_run"] is False
    assert report["examined"] == 8
    assert report["found"] == {}
    away = await asyncio.to_thread(command, api, S3_ENDPOINT="http://127.0.0.1:1")
    assert away.exit_code == 1
    assert isinstance(away.exception, SystemExit)
    assert "object store is not available" in away.stderr
    for wrong in (("--min-age-hours", "0"), ("--dry-run", "--remove"), ("--yes-remove", "5")):
        assert (await asyncio.to_thread(command, api, *wrong)).exit_code == 2
    assert len(await objects_of(api, made)) == 8


async def test_the_command_line_removes_as_many_as_it_is_told(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labeler_api.storage.orphans.orphan_finder.age", lambda _: timedelta(days=2))
    monkeypatch.setattr(sweep, "age", lambda _: timedelta(days=2))
    await put_many(api, 102)
    listed = await asyncio.to_thread(command, api, "--remove")
    assert listed.exit_code == 0
    assert "102 orphans newly listed, 0 removed, 102 wait until" in listed.stdout
    early = await asyncio.to_thread(command, api, "--remove", "--yes-remove", "102")
    assert early.exit_code == 0, early.stdout
    assert len(await stored_keys(api, DATASETS, "datasets/")) == 102, early.stdout
    await week_passes(api)
    stopped = await asyncio.to_thread(command, api, "--remove")
    assert stopped.exit_code == 3
    assert "storage sweep --remove --yes-remove 102" in stopped.stdout
    wrong = await asyncio.to_thread(command, api, "--remove", "--yes-remove", "101")
    assert wrong.exit_code == 3
    assert len(await stored_keys(api, DATASETS, "datasets/")) == 102
    done = await asyncio.to_thread(command, api, "--remove", "--yes-remove", "102")
    assert done.exit_code == 0, done.stdout
    assert await stored_keys(api, DATASETS, "datasets/") == [], done.stdout
    async with api.db.begin() as tx:
        await tx.execute("UPDATE labeler_identity SET id = gen_random_uuid()")
    other = await asyncio.to_thread(command, api, "--remove")
    assert other.exit_code == 1
    assert "belongs to the database" in other.stderr


def test_the_report_names_reasons_sizes_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    report = SweepReport(examined=1_234)
    for number in range(25):
        report.note("no image has it", DATASETS, f"datasets/ds_1/images/{number}.jpg", 1_000_000)
    show(report, Console(width=200), dry_run=True)
    out = capsys.readouterr().out
    assert "no image has it        25  25.0 MB" in out
    assert "datasets/datasets/ds_1/images/0.jpg: no image has it" in out
    assert "… and 5 more" in out
    assert "1,234 objects examined, 25 orphans found; --remove lists them" in out
