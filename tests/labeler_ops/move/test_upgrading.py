"""A database of before is upgraded on the way: in the right zone, and with a word about every row."""

from pathlib import Path

import pytest

from labeler_ops.errors import DatabaseError
from labeler_ops.move import move_report
from labeler_ops.move.checks.dump_checks import check_databases
from labeler_ops.move.context import RunOptions
from labeler_ops.move.rows import upgrading
from labeler_ops.runs import Run
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.sql import execute, fetchval
from tests.labeler_ops.move.moving import again, begun, lines, rows

SEOUL = "Asia/Seoul"
ACCEPTED = RunOptions(accept_quarantine=True)


async def test_a_move_reads_the_server_s_times_in_the_zone_that_it_was_begun_with(
    production_dsn: str, target: str, tmp_path: Path
) -> None:
    """It is fenced, copied, compared, and upgraded on the target; a run that goes on knows its zone."""
    begun_ = begun(tmp_path, rows(production_dsn, target), legacy_timezone=SEOUL)
    await begun_.run_forward(until="verify")
    move = again(begun_.run.directory, rows(production_dsn, target), ACCEPTED)
    await move.run_forward()
    created = "SELECT created_at = '2025-06-01T00:00Z' FROM datasets WHERE name = 'MVTec-AD'"
    assert await fetchval(target, created) is True
    assert await fetchval(target, "SELECT mode FROM maintenance") == "on"
    assert f"schema: {move_report.read(move.run).upgrade.before} to" in "\n".join(lines(move))  # type: ignore[union-attr]
    assert f"times of the server were read as {SEOUL}" in "\n".join(lines(move))


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("UTC", "read as UTC, 1 of 1 locks would have been kept alive at another hour"),
        ("America/New_York", "1 of 1 locks"),
        ("Asia/Soul", "'Asia/Soul' is no time zone"),
    ],
)
async def test_a_zone_that_cannot_be_the_server_s_is_refused_before_anything_is_done(
    production_dsn: str, target: str, tmp_path: Path, zone: str, said: str
) -> None:
    with pytest.raises(DatabaseError, match=f"times of the server: .*{said}"):
        await begun(tmp_path, rows(production_dsn, target), legacy_timezone=zone).run_forward()


async def test_times_that_would_lie_in_the_future_refute_a_zone(
    production_dsn: str, target: str, tmp_path: Path
) -> None:
    at_work = "DELETE FROM image_locks; UPDATE datasets SET created_at = now() AT TIME ZONE 'Asia/Seoul'"
    await execute(production_dsn, at_work)
    found = {one.name: one for one in await check_databases(production_dsn, target, tmp_path)}["times of the server"]
    assert found.verdict == "refused"
    assert "times of datasets.created_at up to" in found.text
    assert "would lie in the future" in found.text
    found = {one.name: one for one in await check_databases(production_dsn, target, tmp_path, legacy_timezone=SEOUL)}[
        "times of the server"
    ]
    assert found.verdict == "note"
    assert found.text.startswith(f"read as {SEOUL}: ")


async def test_the_report_says_what_was_repaired_and_what_was_set_aside(
    hazards_dsn: str, target: str, create_database: DatabaseFactory, tmp_path: Path
) -> None:
    move = begun(tmp_path, rows(hazards_dsn, target))
    with pytest.raises(DatabaseError, match=r"set aside more than 1 % of a table: .*--accept-quarantine"):
        await move.run_forward()
    told = move_report.write(move.run)
    assert told.upgrade is not None
    for name, sums_of in told.upgrade.set_aside.items():
        assert await fetchval(target, f"SELECT count(*) FROM quarantine_{name}") == sums_of.quarantined
    text = move.run.path("report.txt").read_text()
    sums = move.run.ended("upgrade")
    assert sums is not None
    assert sums["upgraded"]["quarantined"] == sum(one.quarantined for one in told.upgrade.tables.values()) > 0
    for step in told.upgrade.steps:
        if step.action == "quarantined":
            number = f"{step.rows:,} {'row' if step.rows == 1 else 'rows'}"
            assert f"quarantined: {number} of {step.table}: {step.rule} (in quarantine_{step.table})" in text
    assert "changed: " in text
    move = again(move.run.directory, rows(hazards_dsn, target), ACCEPTED)
    await move.run_forward()
    assert move.run.ended("switch") is not None
    await move.open()
    back = again(move.run.directory, rows(hazards_dsn, target))  # with nothing to accept: it was, on the way there
    await back.rollback(await create_database())
    assert back.run.ended("rollback") is not None


async def test_an_upgrade_that_was_cut_off_before_its_report_still_has_one(
    hazards_dsn: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = begun(tmp_path, rows(hazards_dsn, target), ACCEPTED)
    await move.run_forward(until="verify")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            await move.run_forward()
    await move.run_forward()
    kept = upgrading.read(move.run)
    assert kept is not None
    assert kept.set_aside
