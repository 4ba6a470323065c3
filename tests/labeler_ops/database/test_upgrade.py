"""`labeler db upgrade`: empty databases, repeated and concurrent runs, crashes, refusals, time zones."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

import labeler_ops.database.upgrade as module
from labeler_api.migrations import DIRECTORY, HEAD, PRODUCTION
from labeler_api.migrations.engine import engine
from labeler_ops.database import state
from labeler_ops.database.schema_check import check
from labeler_ops.database.upgrade import upgrade
from labeler_ops.database.upgrade_report import UpgradeReport
from labeler_ops.errors import DatabaseError
from tests.fixtures.production import run_sql

ROOT = Path(__file__).parents[3]
_WAITS_FOR_THE_TABLE = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'annotations'::regclass)"


def _scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(DIRECTORY))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def test_head_is_written_down() -> None:
    assert _scripts().get_heads() == [HEAD]
    assert _scripts().get_base() == PRODUCTION


async def test_empty_database(empty_dsn: str) -> None:
    report = await upgrade(empty_dsn)
    assert report.before is None
    assert report.after == HEAD
    assert report.tables == {}
    assert report.even is True
    assert await check(empty_dsn) == []


async def test_again_is_a_single_question(labeler_dsn: str) -> None:
    done: list[str] = []
    report = await upgrade(labeler_dsn, progress=done.append)
    assert report.before == HEAD
    assert report.after == HEAD
    assert done == []


async def test_two_runners_do_not_meet(production_dsn: str) -> None:
    done: list[str] = []
    reports = await asyncio.gather(*(upgrade(production_dsn, progress=done.append) for _ in range(3)))
    assert len(done) == len(list(_scripts().walk_revisions())) - 1
    assert sorted(str(report.before) for report in reports) == [PRODUCTION, HEAD, HEAD]
    assert await check(production_dsn) == []


async def test_as_the_owner_of_the_database_not_as_superuser(production_dsn: str) -> None:
    name = urlsplit(production_dsn).path.removeprefix("/")
    await run_sql(
        production_dsn,
        "DROP ROLE IF EXISTS upgrading_owner",
        "CREATE ROLE upgrading_owner LOGIN PASSWORD 'owner'",
        f"ALTER DATABASE {name} OWNER TO upgrading_owner",
        """DO $$ DECLARE r record; BEGIN
             FOR r IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' LOOP
               EXECUTE format('ALTER TABLE public.%I OWNER TO upgrading_owner', r.relname);
             END LOOP; END $$""",
        "SELECT",
    )
    try:
        parts = urlsplit(production_dsn)
        dsn = urlunsplit(parts._replace(netloc=f"upgrading_owner:owner@{parts.hostname}:{parts.port}"))
        assert (await upgrade(dsn)).even
        assert await check(dsn) == []
    finally:
        await run_sql(
            production_dsn,
            "REASSIGN OWNED BY upgrading_owner TO CURRENT_USER",
            "DROP OWNED BY upgrading_owner",
            "DROP ROLE upgrading_owner",
            "SELECT",
        )


def _cut_off(dsn: str) -> None:
    statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'labeler-migrations'"
    thread = Thread(target=lambda: asyncio.run(run_sql(dsn, statement + " AND datname = current_database()")))
    thread.start()
    thread.join()


@pytest.mark.parametrize("revisions_done", [0, 2, 5, 9])
async def test_a_crash_leaves_the_last_whole_revision(hazards_dsn: str, revisions_done: int) -> None:
    done: list[str] = []

    def crash(revision: str) -> None:
        if len(done) == revisions_done:
            _cut_off(hazards_dsn)  # before this revision is committed
        done.append(revision)

    with pytest.raises(DatabaseError):
        await upgrade(hazards_dsn, progress=crash)
    chain = [script.revision for script in _scripts().walk_revisions()][::-1]
    assert await state.revision(hazards_dsn) == chain[revisions_done]
    report = await upgrade(hazards_dsn)
    assert await state.revision(hazards_dsn) == HEAD
    assert report.even
    assert report.tables["annotation_history"].before == 1539
    assert await check(hazards_dsn) == []


async def test_tables_in_use_are_named_as_the_reason(production_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCK_TIMEOUT", "200ms")
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0)
    reader = await asyncpg.connect(production_dsn)
    async with reader.transaction():
        await reader.execute("SELECT FROM annotations LIMIT 1")
        with pytest.raises(DatabaseError, match="Stop the API"):
            await upgrade(production_dsn)
    await reader.close()
    monkeypatch.undo()  # an autovacuum gives way within a second, not within a fifth of one
    assert (await upgrade(production_dsn)).even


async def test_who_queues_behind_an_upgrade_passes(production_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export has a table open: the upgrade asks for it again and again, and nobody waits behind it for long."""
    monkeypatch.setattr(module, "LOCK_TIMEOUT", "1200ms")  # an autovacuum gives way after a second
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.1)
    export, person = await asyncpg.connect(production_dsn), await asyncpg.connect(production_dsn)
    await export.execute("BEGIN; SELECT FROM annotations LIMIT 1")
    upgrading = asyncio.create_task(upgrade(production_dsn))
    while not await person.fetchval(_WAITS_FOR_THE_TABLE):  # noqa: ASYNC110 - another server's locks tell nobody
        await asyncio.sleep(0.02)
    await person.fetchval("SELECT count(*) FROM annotations", timeout=20)  # queued behind the upgrade
    assert not upgrading.done()
    await export.execute("COMMIT")
    assert (await upgrading).even
    await export.close()
    await person.close()


async def test_times_of_the_server_are_read_in_its_zone(hazards_dsn: str) -> None:
    report = await upgrade(hazards_dsn, legacy_timezone="Asia/Seoul")
    (row,) = await run_sql(
        hazards_dsn,
        """SELECT d.created_at = '2025-06-01T00:00Z' AS dataset, i.uploaded_at = '2025-06-01T01:00Z' AS image,
                  l.locked_at = '2025-06-05T00:00Z' AS lock, l.expires_at = '2025-06-05T00:06Z' AS lock_end,
                  a.created_at = '2025-06-03T03:00Z' AS annotation
             FROM datasets d, image_metadata i, image_locks l, annotations a
            WHERE d.name = 'MVTec-AD' AND i.id LIKE '%/0001' AND l.user_id = 2 AND a.id = 1""",
    )
    assert dict(row) == dict.fromkeys(("dataset", "image", "lock", "lock_end", "annotation"), True)
    converted = {(s.table, *s.rule.split(": read as ")): s.rows for s in report.steps if s.action == "converted"}
    assert converted["datasets", "created_at", "Asia/Seoul"] == 5
    assert converted["image_metadata", "uploaded_at", "UTC"] == 1729
    assert (
        converted["annotation_history", "timestamp", "UTC"] == 1536
    )  # the entries without a time have none to convert


async def test_a_zone_that_cannot_be_the_server_s_is_noted_or_refused(production_dsn: str) -> None:
    await run_sql(production_dsn, "UPDATE datasets SET created_at = now() AT TIME ZONE 'Asia/Seoul'", "SELECT")
    with pytest.raises(DatabaseError, match=r"times of datasets.created_at .*would lie in the future"):
        await upgrade(production_dsn)
    assert await state.revision(production_dsn) == PRODUCTION
    report = await upgrade(production_dsn, legacy_timezone="Asia/Tokyo")  # the same hours
    assert not [note for note in report.notes if note.startswith("times of the server")]


async def test_a_wrong_zone_is_refused_before_anything_is_done(production_dsn: str) -> None:
    with pytest.raises(DatabaseError, match="'Asia/Soul' is no time zone"):
        await upgrade(production_dsn, legacy_timezone="Asia/Soul")
    assert await state.revision(production_dsn) == PRODUCTION


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER TABLE annotations DROP COLUMN notes", "column annotations.notes is missing"),
        (
            "ALTER TABLE annotations ALTER COLUMN class_id TYPE text",
            "annotations.class_id: expected .*50.*; found text",
        ),
        ("ALTER TABLE datasets ADD COLUMN extra int", "column datasets.extra is not expected"),
        ("ALTER TABLE image_locks DROP CONSTRAINT uq_project_image_lock", "uq_project_image_lock is missing"),
        ("DROP INDEX ix_invitations_token", "index ix_invitations_token is missing"),
        ("DROP TABLE comments", "table comments is missing"),
        ("CREATE TABLE quarantine_annotations (id int)", "quarantine_annotations is not expected"),
    ],
)
async def test_what_is_not_production_is_refused(production_dsn: str, change: str, said: str) -> None:
    await run_sql(production_dsn, change, "SELECT")
    with pytest.raises(DatabaseError, match=said):
        await upgrade(production_dsn)
    assert await state.revision(production_dsn) == PRODUCTION


async def test_plain_indexes_and_foreign_tables_are_noted(production_dsn: str) -> None:
    await run_sql(
        production_dsn,
        "CREATE INDEX ix_image_locks_image_id ON image_locks (image_id)",  # in the old models, in no migration
        "CREATE INDEX ix_invitations_id ON invitations (id)",
        "DROP INDEX ix_comments_created_at",
        "CREATE TABLE procrastinate_jobs (id int)",
        "SELECT",
    )
    report = await upgrade(production_dsn, legacy_timezone="Asia/Seoul")
    assert [note.partition(";")[0] for note in report.notes] == [
        "index ix_comments_created_at is missing",
        "index ix_image_locks_image_id is not expected",
        "index ix_invitations_id is not expected",
    ]
    assert await check(production_dsn) == []


async def test_an_unversioned_database_is_refused(production_dsn: str) -> None:
    await run_sql(production_dsn, "DROP TABLE alembic_version", "SELECT")
    with pytest.raises(DatabaseError, match=r"not empty .*alembic_version"):
        await upgrade(production_dsn)


@pytest.mark.parametrize("revision", ["i3j4k5l6m7n8", "20991231_0000"])
async def test_an_unknown_revision_is_refused(production_dsn: str, revision: str) -> None:
    await run_sql(production_dsn, f"UPDATE alembic_version SET version_num = '{revision}'", "SELECT")
    with pytest.raises(DatabaseError, match=f"{revision}.*old backend's migrations first"):
        await upgrade(production_dsn)


async def test_a_database_that_is_not_there() -> None:
    with pytest.raises(DatabaseError, match="cannot be reached"):
        await upgrade("postgresql://nobody:secret@127.0.0.1:1/none")


async def test_a_report_is_of_one_upgrade(production_dsn: str) -> None:
    await upgrade(production_dsn)
    await run_sql(
        production_dsn,
        """INSERT INTO migration_report (revision, table_name, action, rule, row_count) VALUES
             ('later', 'annotations', 'before', '', 5000), ('later', 'annotations', 'after', '', 5000),
             ('later', '', 'finished', '', 0)""",
        "SELECT",
    )
    async with engine(production_dsn).connect() as connection:
        report = await connection.run_sync(UpgradeReport.read, HEAD, [])
    assert [(step.table, step.rows) for step in report.steps] == [("annotations", 5000)] * 2
    assert report.even


async def test_plain_alembic(empty_dsn: str) -> None:
    environ = {**os.environ, "LABELER_DB_URL": empty_dsn}
    alembic = [sys.executable, "-m", "alembic"]
    up = await asyncio.to_thread(
        subprocess.run, [*alembic, "upgrade", "head"], cwd=ROOT, env=environ, capture_output=True, text=True
    )
    assert up.returncode == 0, up.stderr
    assert await check(empty_dsn) == []
    down = await asyncio.to_thread(
        subprocess.run, [*alembic, "downgrade", "-1"], cwd=ROOT, env=environ, capture_output=True, text=True
    )
    assert down.returncode != 0
    assert "Restore the backup" in down.stderr
    assert await state.revision(empty_dsn) == HEAD
