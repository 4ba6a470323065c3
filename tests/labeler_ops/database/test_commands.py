"""`labeler db …` as it is typed: what it prints, where, and its exit codes."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from labeler_api.migrations import HEAD, PRODUCTION
from labeler_ops.database import state
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.production import run_sql


async def labeler(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    argv = [str(Path(sys.executable).with_name("labeler")), "db", *arguments]
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("LABELER_", "PG", "DATABASE_"))}
    return await asyncio.to_thread(
        subprocess.run, argv, env={**plain, "COLUMNS": "200", **environ}, capture_output=True, text=True, check=False
    )


async def test_upgrade_prints_what_became_of_the_rows(hazards_dsn: str) -> None:
    done = await labeler("upgrade", "--legacy-timezone", "Asia/Seoul", LABELER_DB_URL=hazards_dsn)
    assert done.returncode == 0, done.stderr
    assert "Upgraded from 20251124_0000" in done.stdout
    assert "Every row is accounted for." in done.stdout
    assert "the project does not exist" in done.stdout
    assert "created_at: read as Asia/Seoul" in done.stdout
    assert "done One role table, one owner" in done.stderr
    again = await labeler("upgrade", "--url", hazards_dsn)
    assert again.returncode == 0
    assert "nothing to do" in again.stdout


async def test_upgrade_as_json(production_dsn: str) -> None:
    done = await labeler("upgrade", "--json", "--url", production_dsn)
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert report["before"] == PRODUCTION
    assert report["after"] == HEAD
    assert report["even"] is True
    assert report["tables"]["image_metadata"]["after"] == 1725
    moved = report["tables"]["annotations"]
    assert moved["before"] == 327 == moved["after"] + moved["quarantined"]


async def test_upgrade_that_is_refused(production_dsn: str) -> None:
    await run_sql(production_dsn, "ALTER TABLE comments ADD COLUMN extra int", "SELECT")
    done = await labeler("upgrade", "--json", "--url", production_dsn)
    assert done.returncode == 1
    assert "column comments.extra is not expected" in json.loads(done.stdout)["error"]
    assert "Traceback" not in done.stderr
    assert await state.revision(production_dsn) == PRODUCTION


async def test_check(labeler_dsn: str) -> None:
    same = await labeler("check", "--url", labeler_dsn)
    assert same.returncode == 0
    assert "no difference" in same.stdout
    await run_sql(labeler_dsn, "CREATE INDEX more ON comments (text)", "SELECT")
    differs = await labeler("check", "--json", "--url", labeler_dsn)
    assert differs.returncode == 1
    (difference,) = json.loads(differs.stdout)["differences"]
    assert difference.startswith("index more is not expected")
    away = await labeler("check", "--url", "postgresql://x:hidden@127.0.0.1:9/x")
    assert away.returncode == 2
    assert "cannot be reached" in away.stderr
    assert "hidden" not in away.stderr
    unset = await labeler("check")
    assert unset.returncode == 2
    assert "LABELER_DB_URL is not set" in unset.stderr


async def test_roles(empty_dsn: str) -> None:
    printed = await labeler("roles", "users")
    assert printed.returncode == 0
    assert 'CREATE ROLE "user_readonly"' in printed.stdout
    assert (await labeler("roles")).stdout.count("CREATE ROLE") == 3
    role = f"role_of_{urlsplit(empty_dsn).path.removeprefix('/')}"
    apply = ("roles", "platform", "--apply", "--url", empty_dsn, "--role", role)
    try:
        for _ in range(2):
            applied = await labeler(*apply, LABELER_ROLE_PASSWORD="kept to itself")
            assert applied.returncode == 0, applied.stderr
        assert "kept to itself" not in applied.stdout
        assert await run_sql(empty_dsn, f"SELECT FROM pg_roles WHERE rolname = '{role}'")
    finally:
        await run_sql(empty_dsn, f"DROP OWNED BY {role}", f"DROP ROLE {role}", "SELECT")
    assert (await labeler("roles", "--apply")).returncode == 2


async def test_a_password_on_the_command_line_is_warned_of(production_dsn: str, tmp_path: Path) -> None:
    """Everybody who may list processes reads it; a variable or a file says the same in private."""
    warned = "warning: a password on the command line"
    done = await labeler("verify", "--source", production_dsn, "--target", production_dsn)
    assert done.returncode == 0
    assert warned in done.stderr
    variables = {"SOURCE_DATABASE_URL": production_dsn, "TARGET_DATABASE_URL": production_dsn}
    done = await labeler("verify", **variables)
    assert done.returncode == 0
    assert done.stderr.count(warned) == 0
    (file := tmp_path / "url").write_text(f"{production_dsn}\n")
    done = await labeler("verify", "--source", f"@{file}", "--target", f"@{file}")
    assert done.returncode == 0
    assert done.stderr.count(warned) == 0
    done = await labeler("verify", "--source", f"@{tmp_path / 'none'}", "--target", f"@{file}")
    assert done.returncode == 2
    assert "No such file" in done.stderr


async def test_roles_of_other_names_are_expected_when_it_is_said(
    production_dsn: str, create_database: DatabaseFactory, production_template: str
) -> None:
    moved = await create_database(production_template)
    owner = await run_sql(production_dsn, "SELECT current_user AS name")
    await run_sql(production_dsn, "ALTER TABLE annotations OWNER TO pg_monitor", "SELECT")
    await run_sql(moved, "ALTER TABLE annotations OWNER TO pg_checkpoint", "SELECT")
    variables = {"SOURCE_DATABASE_URL": production_dsn, "TARGET_DATABASE_URL": moved}
    done = await labeler("verify", **variables)
    assert done.returncode == 1
    assert "owner annotations: pg_monitor on the source, pg_checkpoint on the target" in done.stdout
    done = await labeler("verify", "--role", "pg_monitor=pg_checkpoint", **variables)
    assert done.returncode == 0, done.stdout
    assert "The same" in done.stdout, done.stdout
    done = await labeler("verify", "--without-roles", **variables)
    assert done.returncode == 0, done.stdout
    assert "The same" in done.stdout, done.stdout
    done = await labeler("verify", "--role", owner[0]["name"], **variables)
    assert done.returncode == 2
    assert "expected OLD=NEW" in done.stderr
    await create_database.drop(moved)


async def test_roles_are_applied_as_the_superuser_of_a_variable(empty_dsn: str) -> None:
    done = await labeler("roles", "labeler", "--apply", "--role", "owner_of_a_test", ADMIN_DATABASE_URL=empty_dsn)
    assert done.returncode == 0, done.stderr
    assert "OWNER TO" in done.stdout, done.stderr


async def test_a_server_without_tls_is_named(labeler_dsn: str) -> None:
    done = await labeler("check", "--url", f"{labeler_dsn}?sslmode=require")
    assert done.returncode == 2
    assert "it speaks no TLS, so leave sslmode=require out" in done.stderr


async def test_an_upgrade_goes_past_the_pooler_that_the_services_use(pooler: str, labeler_dsn: str) -> None:
    """Before a deployment it is given with the environment of the API."""
    behind = {"LABELER_DB_URL": pooler, "DB_STATEMENT_CACHE": "false"}
    refused = [await labeler("check", LABELER_DB_URL=pooler) for _ in range(3)]
    assert any("reached through a pooler (PgBouncer)" in one.stderr for one in refused), [one.stderr for one in refused]
    done = await labeler("upgrade", **behind, LABELER_DB_UNPOOLED_URL=labeler_dsn)
    assert done.returncode == 0, done.stderr
    assert "LABELER_DB_UNPOOLED_URL is used" in done.stderr
    assert (await labeler("check", **behind, LABELER_DB_UNPOOLED_URL=labeler_dsn)).returncode == 0
    another = urlsplit(labeler_dsn)._replace(path="/none").geturl()
    kept = await labeler("upgrade", **behind, LABELER_DB_UNPOOLED_URL=another)
    assert "LABELER_DB_UNPOOLED_URL is used" not in kept.stderr  # a person has named another database
