"""Backup, restore test and copy of a database, between databases of one server."""

import asyncio
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from labeler_ops.backup import clients, dumps
from labeler_ops.database.verify.equality import compare_databases
from labeler_ops.errors import DatabaseError
from labeler_ops.move.checks.dump_checks import check_databases
from labeler_ops.move.rows import copy
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.sql import execute

SHAPES = Path(__file__).parents[1] / "database" / "verify" / "shapes.sql"


@pytest.fixture
async def source(create_database: DatabaseFactory) -> str:
    dsn = await create_database()
    await execute(dsn, SHAPES.read_text())
    return dsn


@pytest.fixture
async def tools(source: str) -> clients.Clients:
    return clients.find(await major(source))


async def major(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return connection.get_server_version().major
    finally:
        await connection.close()


async def test_a_copy_is_the_same(source: str, target: str, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    copied = await copy.copy(source, target, tmp_path / "dump", on_progress=lambda *now: told.append(now))
    assert (await compare_databases(source, target)).lines() == []
    assert copied.dump_bytes > 0
    assert told


async def test_a_backup_is_restored_and_compared_as_of_its_moment(
    source: str, tools: clients.Clients, tmp_path: Path
) -> None:
    """What is written while the backup is made is neither in it nor a difference."""
    async with dumps.snapshot(source) as moment:
        await execute(source, "DELETE FROM parts; INSERT INTO log VALUES ('late', now())")
        await dumps.dump(tools, source, tmp_path / "backup", as_of=moment)
        tried = await dumps.restore_test(tools, tmp_path / "backup", source, moment, at=source)
    assert tried.report.lines() == []
    assert tried.report.rows > 3000
    await dumps.check(tmp_path / "backup")
    assert not await databases(source, "labeler_restore_test%")


async def test_a_damaged_backup_is_named(source: str, tools: clients.Clients, tmp_path: Path) -> None:
    await dumps.dump(tools, source, tmp_path / "backup")
    victim = max((tmp_path / "backup").glob("*.dat.gz"), key=lambda path: path.stat().st_size)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    with pytest.raises(DatabaseError, match=victim.name):
        await dumps.check(tmp_path / "backup")
    with pytest.raises(DatabaseError, match="there already"):
        await dumps.dump(tools, source, tmp_path / "backup")


async def test_a_copy_that_was_cut_off_begins_again(
    source: str, target: str, tools: clients.Clients, tmp_path: Path
) -> None:
    await dumps.dump(tools, source, tmp_path / "half")
    await dumps.restore(tools, tmp_path / "half", target)
    await execute(target, "DELETE FROM parts; DROP VIEW heavy")
    await copy.clear(target)
    await copy.copy(source, target, tmp_path / "dump")
    assert (await compare_databases(source, target)).lines() == []


async def test_a_restore_that_fails_says_why_and_stops(source: str, target: str, tmp_path: Path) -> None:
    await execute(target, "CREATE TABLE things (id int)")
    with pytest.raises(DatabaseError, match="things"):
        await copy.copy(source, target, tmp_path / "dump")


async def test_the_server_going_away_in_the_middle_is_an_error(source: str, target: str, tmp_path: Path) -> None:
    """Cut off while the dump waits for a table that somebody holds."""
    holder = await asyncpg.connect(source)
    await holder.execute("BEGIN; LOCK TABLE things")
    killer = await asyncpg.connect(source)
    copying = asyncio.create_task(copy.copy(source, target, tmp_path / "dump"))
    sql = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE application_name = 'labeler move' AND wait_event_type = 'Lock'"
    )
    try:
        async with asyncio.timeout(20):
            while True:
                if await killer.fetchval(sql):
                    break
        with pytest.raises(DatabaseError, match="pg_dump failed"):
            await copying
    finally:
        holder.terminate()
        await killer.close()


async def test_no_password_is_on_a_command_line(source: str, tools: clients.Clients, tmp_path: Path) -> None:
    """Looked at while the dump waits for a table that somebody holds."""
    secret = urlsplit(source).password
    seen: list[str] = []
    holder = await asyncpg.connect(source)
    await holder.execute("BEGIN; LOCK TABLE things")

    def look() -> None:
        seen.extend(line for line in command_lines() if "pg_dump" in line)
        if seen:
            holder.terminate()

    await tools.run("pg_dump", "--format=directory", f"--file={tmp_path / 'dump'}", url=source, progress=look)
    assert secret
    assert seen
    assert not [line for line in seen if secret in line]


def command_lines() -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            found.append(entry.read_text())
    return found


async def test_preflight_of_a_move_that_can_be_made(source: str, target: str, tmp_path: Path) -> None:
    findings = await check_databases(source, target, tmp_path)
    assert [finding for finding in findings if finding.verdict == "refused"] == []
    assert {"versions", "client programs", "collation", "extensions", "target", "disk"} <= {
        one.name for one in findings
    }


@pytest.mark.parametrize(
    ("sql", "name", "said"),
    [
        ("CREATE TABLE there (id int)", "target", "there"),
        ("CREATE SEQUENCE there", "target", "not empty"),
    ],
)
async def test_preflight_refuses_a_target_that_is_not_empty(
    source: str, target: str, tmp_path: Path, sql: str, name: str, said: str
) -> None:
    await execute(target, sql)
    (refused,) = [one for one in await check_databases(source, target, tmp_path) if one.verdict == "refused"]
    assert refused.name == name
    assert said in refused.text


async def test_preflight_refuses_what_would_not_be_moved(source: str, target: str, tmp_path: Path) -> None:
    await execute(source, "CREATE UNLOGGED TABLE quick (id int)")
    (refused,) = [one for one in await check_databases(source, target, tmp_path) if one.verdict == "refused"]
    assert "unlogged" in refused.text


async def test_preflight_refuses_one_database_twice_and_one_that_is_away(source: str, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="one and the same"):
        await check_databases(source, source, tmp_path)
    away = urlsplit(source)._replace(path="/not_there").geturl()
    with pytest.raises(DatabaseError, match=r"target .*not_there"):
        await check_databases(source, away, tmp_path)


def test_missing_client_programs_are_named_with_their_package() -> None:
    with pytest.raises(DatabaseError, match="postgresql-client-99"):
        clients.find(99)


async def databases(dsn: str, like: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return [row[0] for row in await connection.fetch("SELECT datname FROM pg_database WHERE datname LIKE $1", like)]
    finally:
        await connection.close()


async def test_a_schema_of_any_name_is_cleared_and_nothing_else(target: str) -> None:
    """Its name is data: it must not become a statement."""
    name = 'odd"; CREATE TABLE public.injected (id int); --'
    quoted = name.replace('"', '""')
    await execute(target, f'CREATE SCHEMA "{quoted}"; CREATE TABLE "{quoted}".t (id int)')
    await copy.clear(target)
    connection = await asyncpg.connect(target)
    try:
        assert await connection.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'odd%'") == 0
        assert await connection.fetchval("SELECT to_regclass('public.injected')") is None
    finally:
        await connection.close()
