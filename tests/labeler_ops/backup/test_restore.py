"""What a restore refuses, what it makes, and what it says when the result is not what it should be."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from labeler_ops.database.roles import apply_roles
from tests.fixtures.backups import Operator, count, named
from tests.fixtures.sql import execute


async def test_a_database_that_is_not_empty_is_refused_without_a_word(folder: Operator, source: str) -> None:
    await folder.json("create")
    name = source.rpartition("/")[2]
    for options in ((), ("--replace", "another")):
        done = await folder("restore", "--into", source, *options)
        assert done.exit_code == 1
        assert f"{name!r} is not empty, and nothing was changed. Give a new name in --into," in done.stderr
        assert f"to lose what it holds, --replace {name}" in done.stderr
    assert await count(source, "annotations") == 500
    await execute(source, "DELETE FROM annotations WHERE id % 2 = 0")
    at_work = await asyncpg.connect(source, server_settings={"application_name": "somebody at work"})
    try:
        done = await folder("restore", "--into", source, "--replace", name)
        assert done.exit_code == 1
        assert "is in use by somebody at work" in done.stderr
    finally:
        await at_work.close()
    assert await count(source, "annotations") == 250
    done = await folder("restore", "--into", source, "--replace", name)
    assert done.exit_code == 0, done.output
    assert await count(source, "annotations") == 500


async def test_a_new_database_is_made_like_the_old_one(folder: Operator, source: str) -> None:
    await folder.json("create")
    into = named(source, "made_by_a_restore")
    done = await folder.json("restore", RESTORE_DATABASE_URL=into)
    assert done["same"]
    assert (
        await count(
            into,
            "pg_database a JOIN pg_database b USING (encoding, datcollate, datctype)"
            f" WHERE a.datname = 'made_by_a_restore' AND b.datname = '{source.rpartition('/')[2]}'",
        )
        == 1
    )
    await execute(named(source, "postgres"), "DROP DATABASE made_by_a_restore")


async def test_what_is_restored_belongs_to_the_role_that_restores_it(folder: Operator, source: str) -> None:
    """The way of the guide: an empty database of the serving role, who then restores, migrates and serves."""
    await folder.json("create")
    into = named(source, "given_to_a_role")
    await execute(named(source, "postgres"), "CREATE DATABASE given_to_a_role TEMPLATE template0")
    await apply_roles(into, "labeler", role="serves_restored", password="of-a-test")
    parts = urlsplit(into)
    url = parts._replace(netloc=f"serves_restored:of-a-test@{parts.netloc.rpartition('@')[2]}").geturl()
    assert (await folder.json("restore", RESTORE_DATABASE_URL=url))["same"]
    tables = "pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relowner"
    assert await count(into, f"{tables} <> 'serves_restored'::regrole") == 0
    assert await count(into, f"{tables} = 'serves_restored'::regrole") > 30
    await execute(named(source, "postgres"), "DROP DATABASE given_to_a_role")
    await execute(named(source, "postgres"), "DROP ROLE serves_restored")


async def test_half_of_a_database_that_was_made_is_taken_away(folder: Operator, source: str) -> None:
    """What was made by a restore that failed must not be taken for the database."""
    await execute(source, "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    await execute(source, "CREATE TABLE t (a int CHECK (f() = 1)); INSERT INTO t VALUES (1)")
    await execute(source, "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'")
    await folder.json("create")
    done = await folder("restore", "--into", named(source, "half"))
    assert done.exit_code == 1
    assert "pg_restore failed" in done.stderr
    assert await count(source, "pg_database WHERE datname = 'half'") == 0


async def test_a_difference_is_named(folder: Operator, source: str, tmp_path: Path, empty: str) -> None:
    """A view of the present moment is not what it was: whatever differs is said, and is no proof."""
    await execute(source, "CREATE MATERIALIZED VIEW stale AS SELECT count(*) AS n FROM annotations")
    await execute(source, "DELETE FROM annotations WHERE id % 2 = 0")
    await folder.json("create")
    done = await folder("restore", "--into", empty)
    assert done.exit_code == 1
    assert "table stale: 1 rows, sum" in done.stdout
    assert "1 differences." in done.stdout
    (kept,) = (await folder.json("list"))["backups"]
    assert kept["proof"]["how"] == "bytes"


async def test_a_backup_is_tried_on_a_server_and_leaves_nothing_there(folder: Operator, source: str) -> None:
    made = await folder.json("create", BACKUP_SCRATCH_DATABASE_URL=source)
    assert made["restored"]["digest"] == made["backup"]["digest"]
    assert (await folder.json("verify", "--scratch", source))["same"]
    assert await count(source, "pg_database WHERE datname LIKE 'labeler_restore_test%'") == 0
    (kept,) = (await folder.json("list"))["backups"]
    assert kept["proof"]["how"] == "restored"


async def test_writers_during_a_backup_do_not_matter(folder: Operator, source: str) -> None:
    """The dump, the sums and the digest are of one moment, whatever is saved meanwhile."""
    stop = asyncio.Event()

    async def write() -> None:
        connection = await asyncpg.connect(source)
        try:
            while not stop.is_set():
                await connection.execute("UPDATE annotations SET geometry = '{\"x\": 1}' WHERE id % 7 = 0")
                await connection.execute(
                    "INSERT INTO datasets (id, name, owner_id, storage_path)"
                    " VALUES (gen_random_uuid()::text, 'x', 2, 'x')"
                )
        finally:
            await connection.close()

    writer = asyncio.create_task(write())
    try:
        made = await folder.json("create", "--scratch", source)
    finally:
        stop.set()
        await writer
    assert made["same"]


async def test_the_folder_is_for_its_owner_alone(folder: Operator) -> None:
    await folder.json("create")
    assert await asyncio.to_thread(_open_to_others, Path(folder.environ["BACKUP_PLACE"])) == []


def _open_to_others(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.stat().st_mode & 0o077]


async def test_what_cannot_be_done_is_said(folder: Operator, source: str, tmp_path: Path) -> None:
    for options, said in (
        (("create", "--at", "s3://backups"), "BACKUP_S3_ENDPOINT, BACKUP_S3_ACCESS_KEY, BACKUP_S3_SECRET_KEY: missing"),
        (("create", "--url", named(source, "none")), "the database cannot be read"),
        (("create", "--work", "/proc"), "No such file or directory"),
        (("verify",), "there is no backup of the database 'labeler'"),
        (("restore", "20260101T000000Z-labeler-abcdef", "--into", source), "there is no backup"),
    ):
        done = await folder(*options)
        assert done.exit_code == 1, done.output
        assert said in done.stderr, done.output
    s3 = {"BACKUP_S3_ACCESS_KEY": "k", "BACKUP_S3_SECRET_KEY": "s", "BACKUP_S3_ENDPOINT": "http://s3.example.com"}
    done = await folder("create", "--at", "s3://backups", **s3)
    assert "http://s3.example.com is not encrypted" in done.stderr
    done = await folder("create", "--at", "s3://datasets", **{**s3, "BACKUP_S3_ENDPOINT": "https://s3.example.com"})
    assert "a bucket of the labeler itself" in done.stderr


async def test_another_database_than_the_one_that_was_asked_for_is_not_kept(folder: Operator, source: str) -> None:
    """Its URL stood in the environment: among the backups of the User DB it would be the newest."""
    done = await folder("create", "--database", "users")
    assert done.exit_code == 1
    assert "has the tables of the database 'labeler', and 'users' was asked for: give its own URL" in done.stderr
    assert "there is no backup" in (await folder("list", "--newest-within-hours", "1")).output
