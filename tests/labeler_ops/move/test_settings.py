"""What a database sets for everybody who connects is moved with it."""

from pathlib import Path
from urllib.parse import urlsplit

from labeler_ops.backup.db_settings import carry
from labeler_ops.move.checks.dump_checks import check_databases
from tests.fixtures.sql import execute, fetchval
from tests.labeler_ops.move.moving import begun, rows

SETTINGS = {
    "TimeZone": "'Asia/Seoul'",
    "work_mem": "'65536'",
    "search_path": '"$user", public, "odd ""name"""',
    "app.greeting": "'it''s, \"odd\"; SELECT 1'",
}
_READ = """
    SELECT array_agg(s ORDER BY s) FROM pg_db_role_setting CROSS JOIN unnest(setconfig) s
    WHERE setrole = 0 AND setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def give(dsn: str, settings: dict[str, str]) -> None:
    name = urlsplit(dsn).path.removeprefix("/")
    for key, value in settings.items():
        await execute(dsn, f"ALTER DATABASE {name} SET {key} = {value}")


async def test_settings_of_a_database_move_with_it(source: str, target: str, tmp_path: Path) -> None:
    await give(source, SETTINGS)
    move = begun(tmp_path, rows(source, target))
    await move.run_forward()
    assert await fetchval(target, _READ) == await fetchval(source, _READ)
    assert await fetchval(target, "SHOW timezone") == "Asia/Seoul"


async def test_preflight_says_which_settings_there_are_and_leaves_none(
    source: str, target: str, tmp_path: Path
) -> None:
    await give(source, {"TimeZone": "'Asia/Seoul'"})
    found = {one.name: one for one in await check_databases(source, target, tmp_path)}["settings"]
    assert found.verdict == "ok"
    assert found.text == "TimeZone = Asia/Seoul"
    assert await fetchval(target, _READ) is None


async def test_a_setting_that_the_target_alone_has_is_refused(source: str, target: str, tmp_path: Path) -> None:
    await give(target, {"TimeZone": "'Asia/Tokyo'"})
    found = {one.name: one for one in await check_databases(source, target, tmp_path)}["settings"]
    assert found.verdict == "refused"
    assert "the target alone has TimeZone" in found.text


async def test_without_settings_nothing_is_set(source: str, target: str) -> None:
    await carry(source, target)
    assert await fetchval(target, _READ) is None
