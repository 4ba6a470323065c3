"""The User DB and the Platform DB moved by the same tool: no switch, no revisions, and a role made anew."""

import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from labeler_ops.database.verify.structure import DefinitionDifference
from labeler_ops.errors import DatabaseError
from labeler_ops.maintenance import fence
from labeler_ops.move import move_report
from labeler_ops.move.rows.grants import is_on_purpose
from labeler_ops.runs import Run, RunError
from tests.fixtures.move_variables import variables
from tests.fixtures.platform import READER_PASSWORD as PLATFORM_PASSWORD
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.sql import execute
from tests.fixtures.users import READER_PASSWORD, UsersDatabase, gateway_settings
from tests.labeler_ops.move.moving import again, begun, rows
from user_gateway.server import Gateway


@pytest.fixture(autouse=True)
def _passwords_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's roles are of other tests, too."""
    monkeypatch.setenv("LABELER_ROLE_PASSWORD", READER_PASSWORD)


async def test_the_user_db_is_moved_and_the_gateway_reads_the_copy(
    clone_users: Callable[[], Awaitable[UsersDatabase]], target: str, create_database: DatabaseFactory, tmp_path: Path
) -> None:
    users = await clone_users()
    await users.execute(
        "CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('theirs')"
    )
    move = begun(tmp_path, rows(users.admin_dsn, target), database="users")
    await move.run_forward()
    for side in (users.admin_dsn, target):
        with pytest.raises(asyncpg.PostgresError, match="maintenance mode"):
            await execute(side, "UPDATE users SET bio = 'late'")
    reader = _variable(move.run, "environment.new", "USER_DB_URL")
    assert "user_readonly:" in reader
    gateway = Gateway(gateway_settings(reader))  # it starts only as a reader that cannot write
    await gateway.start()
    await gateway.stop()

    later = again(move.run.directory, rows(users.admin_dsn, target))
    await later.open()
    await execute(target, "UPDATE users SET bio = 'there' WHERE id = 2")
    back = await create_database()
    await later.rollback(back)
    connection = await asyncpg.connect(_variable(later.run, "environment.rollback", "USER_DB_URL"))
    try:
        assert await connection.fetchval("SELECT count(*) FROM users WHERE email LIKE 'owner@%'") == 1
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetchval("SELECT bio FROM users")
    finally:
        await connection.close()
    assert not (await fence.status(back)).fenced


async def test_the_platform_db_is_moved(
    create_database: DatabaseFactory,
    platform_template: str,
    target: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LABELER_ROLE_PASSWORD", PLATFORM_PASSWORD)
    source = await create_database(platform_template)
    move = begun(tmp_path, rows(source, target), database="platform")
    with pytest.raises(DatabaseError, match="organizations_id_seq: the target would give 1, and holds 2 already"):
        await move.run_forward()  # rows were inserted with their ids; found while everybody works
    await execute(source, "SELECT setval('organizations_id_seq', 2), setval('workspaces_id_seq', 3)")
    await move.run_forward()
    connection = await asyncpg.connect(_variable(move.run, "environment.new", "PLATFORM_DB_URL"))
    try:
        assert await connection.fetchval("SELECT count(*) FROM workspaces") == 3
    finally:
        await connection.close()
    await move.rollback()
    assert not (await fence.status(source)).fenced


async def test_a_role_that_can_make_no_roles_is_refused_before_anything_is_done(
    create_database: DatabaseFactory, platform_template: str, tmp_path: Path
) -> None:
    source, target = await create_database(platform_template), await create_database()
    name = target.rpartition("/")[2]
    await execute(
        target,
        f"CREATE ROLE moves_only LOGIN PASSWORD 'moves' CREATEDB; ALTER DATABASE {name} OWNER TO moves_only",
    )
    host = target.rpartition("@")[2]
    owner = f"postgresql://moves_only:moves@{host}"
    move = begun(tmp_path, rows(source, owner), database="platform")
    with pytest.raises(DatabaseError, match="platform_readonly, which the services read by: use a superuser"):
        await move.run_forward()
    assert not (await fence.status(source)).fenced
    with pytest.raises(RunError, match="give its URLs"):
        again(move.run.directory, rows(source, target + "_2"))


# A platform's own services: one owns, one writes, and not everybody may do everything.
_THEIRS = "CREATE ROLE {p}_owner; CREATE ROLE {p}_writer; CREATE ROLE {p}_later"
_GRANTS = """
    ALTER TABLE workspaces OWNER TO {p}_owner;
    GRANT SELECT, INSERT, UPDATE (name) ON organizations TO {p}_writer WITH GRANT OPTION;
    CREATE FUNCTION secret() RETURNS int LANGUAGE sql AS 'SELECT 1';
    REVOKE EXECUTE ON FUNCTION secret() FROM PUBLIC; GRANT EXECUTE ON FUNCTION secret() TO {p}_writer;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {p}_later;
    REVOKE CONNECT, TEMPORARY ON DATABASE {name} FROM PUBLIC; GRANT CONNECT ON DATABASE {name} TO {p}_writer;
    ALTER ROLE {p}_writer IN DATABASE {name} SET work_mem = '9MB';
    SELECT setval('organizations_id_seq', 2), setval('workspaces_id_seq', 3);
"""
# What a copy must not get wrong, how it is mended, and what the comparison says of it.
_FAULTS = (
    (
        "GRANT EXECUTE ON FUNCTION secret TO PUBLIC",
        "REVOKE EXECUTE ON FUNCTION secret FROM PUBLIC",
        "to PUBLIC is only on",
    ),
    (
        "REVOKE INSERT ON organizations FROM {p}_writer",
        "GRANT INSERT ON organizations TO {p}_writer WITH GRANT OPTION",
        "grant organizations to {p}_writer: INSERT*, SELECT* on the source, SELECT* on the target",
    ),
    (
        "ALTER TABLE workspaces OWNER TO {p}_writer",
        "ALTER TABLE workspaces OWNER TO {p}_owner",
        "owner workspaces: {p}_owner on the source, {p}_writer on the target",
    ),
    (
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE SELECT ON TABLES FROM {p}_later",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {p}_later",
        "on tables to {p}_later is missing on the target",
    ),
    (
        "ALTER ROLE {p}_writer IN DATABASE moved RESET work_mem",
        "ALTER ROLE {p}_writer IN DATABASE moved SET work_mem = '9MB'",
        "role setting {p}_writer.work_mem is missing on the target (source: 9MB)",
    ),
)
# A list of grants without those of our reader, which `switch` makes anew.
_LISTED = "array(SELECT a::text FROM unnest({}) a WHERE a::text !~ 'readonly' ORDER BY 1)::text"
_SEEN = f"""
    SELECT 'owner ' || relname, relowner::regrole::text FROM pg_class WHERE relname IN ('organizations', 'workspaces')
    UNION ALL SELECT 'grants ' || relname, {_LISTED.format("relacl")}
    FROM pg_class WHERE relname IN ('organizations', 'workspaces')
    UNION ALL SELECT 'column ' || attname, {_LISTED.format("attacl")} FROM pg_attribute
    WHERE attrelid = 'organizations'::regclass AND attnum > 0
    UNION ALL SELECT 'function', {_LISTED.format("proacl")} FROM pg_proc WHERE proname = 'secret'
    UNION ALL SELECT 'default', {_LISTED.format("defaclacl")} FROM pg_default_acl
    UNION ALL SELECT 'database', {_LISTED.format("datacl")} FROM pg_database WHERE datname = current_database()
"""


async def seen(dsn: str) -> dict[str, str]:
    connection = await asyncpg.connect(dsn)
    try:
        return {row[0]: row[1] for row in await connection.fetch(_SEEN)}
    finally:
        await connection.close()


async def test_owners_and_grants_of_the_platform_s_own_services_are_carried(
    create_database: DatabaseFactory,
    platform_template: str,
    elsewhere: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To a server that has none of these roles: refused with their names, and whole once they are there."""
    monkeypatch.setenv("LABELER_ROLE_PASSWORD", PLATFORM_PASSWORD)
    source = await create_database(platform_template)
    prefix = f"theirs_{secrets.token_hex(3)}"
    await execute(source, _THEIRS.format(p=prefix))
    await execute(source, _GRANTS.format(p=prefix, name=source.rpartition("/")[2]))
    move = begun(tmp_path, rows(source, elsewhere), database="platform")
    named = ", ".join(f"{prefix}_{name}" for name in ("later", "owner", "writer"))
    with pytest.raises(DatabaseError, match=f"roles: the target's server lacks {named}, which own or may use"):
        await move.run_forward()
    assert not (await fence.status(source)).fenced
    await execute(elsewhere, _THEIRS.format(p=prefix))
    before = await seen(source)
    await move.run_forward(until="copy")
    move.run.forget("copy")
    await move.run_forward(
        until="copy"
    )  # as after a kill: what is there is cleared, and the schema public is everybody's again
    for fault, mended, said in _FAULTS:
        await execute(elsewhere, fault.format(p=prefix))
        with pytest.raises(DatabaseError, match="the copy is not the same"):
            await move.run_forward()
        found = move_report.read(move.run).differences
        assert any(said.format(p=prefix) in line for line in found), found
        await execute(elsewhere, mended.format(p=prefix))
    await move.run_forward()
    assert (move.run.ended("roles") or {})["changed"] == []  # everybody had lost it before: see REVOKE above
    assert await seen(elsewhere) == before
    assert f"{prefix}_owner" in before["owner workspaces"]
    assert "{=X" not in before["function"]  # nobody was given it whom the source refuses
    assert f"{prefix}_writer=w*" in before["column name"]


@pytest.mark.parametrize(
    ("kind", "name", "before", "after", "is_so"),
    [
        ("grant", "users to user_readonly", None, "SELECT", True),
        ("role setting", "user_readonly.default_transaction_read_only", "on", None, True),
        ("grant", "database to PUBLIC", "CONNECT, TEMPORARY", "CONNECT", True),
        ("grant", "users to PUBLIC", "INSERT, SELECT", "SELECT", True),
        ("grant", "users to PUBLIC", "MAINTAIN, SELECT", "SELECT", True),
        ("grant", "users_id_seq to PUBLIC", "USAGE", None, True),
        ("grant", "database to PUBLIC", "CONNECT, TEMPORARY", "TEMPORARY", False),
        ("grant", "users to PUBLIC", "SELECT", None, False),
        ("grant", "users to PUBLIC", None, "INSERT", False),
        ("grant", "users to service", "INSERT", None, False),
        ("grant", "function public.secret() to PUBLIC", None, "EXECUTE", False),
        ("grant", "function public.open() to PUBLIC", "EXECUTE", None, False),
        ("default privilege", "of owner on tables to PUBLIC", "SELECT", None, False),
        ("role setting", "service.work_mem", "9MB", None, False),
        ("owner", "users", "owner", "postgres", False),
    ],
)
def test_only_what_our_reader_needs_is_on_purpose(
    kind: str, name: str, before: str | None, after: str | None, is_so: bool
) -> None:
    assert is_on_purpose(DefinitionDifference(kind, name, before, after), "users") is is_so


def _variable(run: Run, name: str, variable: str) -> str:
    ((key, value),) = variables(run.path(name)).items()
    assert key == variable
    return value


async def test_the_labeler_db_is_not_moved_as_another(source: str, target: str, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="has the tables of the database 'labeler', and 'users' was asked for"):
        await begun(tmp_path, rows(source, target), database="users").run_forward()
