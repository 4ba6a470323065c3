"""Which backups go, and which never do."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from labeler_ops.backup.backup_storage import Folder, list_backups, record_proof
from labeler_ops.backup.record import RECORD, BackupRecord, Proof, StoredBackup
from labeler_ops.backup.retention import Rule, plan
from tests.fixtures.backups import Operator

NOW = datetime(2026, 11, 30, 3, tzinfo=UTC)


def made(at: datetime, database: str = "labeler", how: str | None = None) -> StoredBackup:
    record = BackupRecord(
        id=f"{at:%Y%m%dT%H%M%SZ}-{database}-000000",
        database=database,  # type: ignore[arg-type]
        source="db:5432/labeler",
        created_at=at,
        seconds=1,
        server=15,
        revision=None,
        encoding="UTF8",
        collate="C",
        ctype="C",
        database_bytes=1,
        rows=1,
        digest="d",
        files={},
    )
    proof = Proof(at=at, how=how, digest="d", seconds=1) if how else None  # type: ignore[arg-type]
    return StoredBackup(record, proof)


def days(going: Iterable[str]) -> list[str]:
    return [backup_id[:8] for backup_id in going]


def test_a_year_of_nights_leaves_days_weeks_and_months() -> None:
    nights = [made(NOW - timedelta(days=n)) for n in range(365)]
    decided = plan(nights, Rule(daily=7, weekly=5, monthly=12), [], NOW)
    assert len(decided.kept) + len(decided.going) == 365
    # Mondays begin weeks: the newest of each is a Sunday, but for the week that has just begun.
    assert days(decided.kept) == [
        *("20261130", "20261129", "20261128", "20261127", "20261126", "20261125", "20261124"),
        *("20261122", "20261115", "20261108"),
        *("20261031", "20260930", "20260831", "20260731", "20260630", "20260531", "20260430", "20260331", "20260228"),
        *("20260131", "20251231"),
    ]
    assert decided.kept[nights[0].record.id] == ["newest", "day 2026-11-30", "week 2026-11-30", "month 2026-11-30"]


def test_of_a_day_the_newest_stays_and_a_gap_is_no_day() -> None:
    some = [made(NOW - timedelta(hours=hours)) for hours in (0, 1, 2, 200, 201)]
    decided = plan(some, Rule(daily=2, weekly=0, monthly=0), [], NOW)
    assert list(decided.kept) == [some[0].record.id, some[3].record.id]


def test_the_last_one_that_was_proven_never_goes() -> None:
    nights = [
        made(NOW - timedelta(days=n), how={40: "restored", 50: "restored", 20: "bytes"}.get(n)) for n in range(60)
    ]
    decided = plan(nights, Rule(daily=1, weekly=0, monthly=0), [], NOW)
    assert [(backup_id[:8], why[0]) for backup_id, why in decided.kept.items()] == [
        ("20261130", "newest"),
        ("20261110", "last looked at"),
        ("20261021", "last restored"),
    ]
    nothing = plan(nights, Rule(daily=0, weekly=0, monthly=0), [], NOW)
    assert len(nothing.kept) == 3, "no rule can take those three"


def test_each_database_is_counted_by_itself() -> None:
    pair = [made(NOW - timedelta(days=n), database) for n in range(3) for database in ("labeler", "users")]
    decided = plan(pair, Rule(daily=1, weekly=0, monthly=0), [], NOW)
    assert days(decided.kept) == ["20261130", "20261130"]


def test_an_attempt_that_may_be_under_way_stays() -> None:
    young, old = "20261129T040000Z-labeler-00000a", "20261129T020000Z-labeler-00000b"
    assert plan([], Rule(), [young, old], NOW).unfinished == [old]


async def test_prune_removes_what_it_names_and_nothing_else(folder: Operator, tmp_path: Path) -> None:
    root = Path(folder.environ["BACKUP_PLACE"])
    place = Folder(root)
    nights = [made(datetime.now(UTC) - timedelta(days=n)) for n in range(12)]
    for one in nights:
        await place.write(f"{one.record.id}/{RECORD}", msgspec.json.encode(one.record))
    await record_proof(place, nights[10].record.id, Proof(at=NOW, how="restored", digest="d", seconds=1))
    await place.write("20260101T000000Z-labeler-0a0a0a/dump/toc.dat", b"cut off")
    (root / "somebody's notes").mkdir()
    rule = ("--keep-daily", "3", "--keep-weekly", "0", "--keep-monthly", "0")
    looked = await folder("prune", *rule)
    assert looked.exit_code == 0
    assert looked.stdout.count("would go") == 9
    assert "nothing was removed" in looked.stdout
    assert len((await list_backups(place))[0]) == 12
    done = await folder("prune", *rule, "--remove")
    assert done.exit_code == 0
    assert done.stdout.count("removed") == 9
    left, unfinished = await list_backups(place)
    assert [one.record.id for one in left] == [nights[n].record.id for n in (10, 2, 1, 0)]
    assert unfinished == []
    assert (root / "somebody's notes").is_dir()


async def test_a_night_without_a_backup_is_heard_of(folder: Operator) -> None:
    """Whoever watches asks for the age of the newest: a job that never ran says nothing at all."""
    watch = ("list", "--newest-within-hours", "26")
    none = await folder(*watch)
    assert none.exit_code == 1
    assert "there is no backup" in none.stderr
    place = Folder(Path(folder.environ["BACKUP_PLACE"]))
    for hours, database, code in ((30, "labeler", 1), (25, "labeler", 0), (27, "users", 1), (1, "users", 0)):
        one = made(datetime.now(UTC) - timedelta(hours=hours), database)
        await place.write(f"{one.record.id}/{RECORD}", msgspec.json.encode(one.record))
        looked = await folder(*watch)
        assert looked.exit_code == code
        assert (one.record.id in looked.stderr) == (code == 1)
    both = ("--database", "labeler", "--database", "users")
    assert (await folder(*watch, *both)).exit_code == 0
    never = await folder(*watch, *both, "--database", "platform")
    assert never.exit_code == 1
    assert "there is no backup of platform" in never.stderr  # which no list of backups could tell by itself
    wrong = await folder(*watch, "--database", "labler")
    assert wrong.exit_code == 2
    assert "expected labeler, users or platform, got 'labler'" in wrong.stderr
