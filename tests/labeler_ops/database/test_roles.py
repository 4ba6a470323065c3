"""`labeler db roles`: what the grants give, what they take away, and that they may be applied again and again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import asyncpg
import pytest

import labeler_ops.stack
from labeler_ops.database.roles import DATABASES, Database, apply_roles, roles_sql
from tests.fixtures.postgres import DatabaseFactory

SQL = Path(labeler_ops.stack.__file__).parent / "sql"
PASSWORD = r"it's a \ password"


def as_role(dsn: str, role: str, password: str = PASSWORD) -> str:
    parts = urlsplit(dsn)
    login = f"{quote(role, safe='')}:{quote(password, safe='')}"
    return parts._replace(netloc=f"{login}@{parts.hostname}:{parts.port}").geturl()


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def platform_dsn(create_database: DatabaseFactory) -> str:
    dsn = await create_database()
    async with connected(dsn) as admin:
        await admin.execute((SQL / "platform.sql").read_text())
    return dsn


async def test_the_platform_is_read_and_not_written(platform_dsn: str) -> None:
    role = "platform_reader_of_tests"
    async with connected(platform_dsn) as admin:
        await admin.execute("INSERT INTO organizations (name, company) VALUES ('Lab', 'Example')")
    await apply_roles(platform_dsn, "platform", role=role, password=PASSWORD)
    async with connected(as_role(platform_dsn, role)) as reader:
        assert await reader.fetchval("SELECT name FROM organizations") == "Lab"
        await reader.execute("SET default_transaction_read_only = off")
        for statement in (
            "DELETE FROM workspaces",
            "INSERT INTO workspaces (organization_id, name) VALUES (1, 'x')",
            "CREATE TABLE x ()",
            "CREATE TEMP TABLE x ()",
            "SELECT lo_create(0)",
            "SELECT nextval('organizations_id_seq')",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await reader.execute(statement)


async def test_applied_again_they_take_away_what_was_added(platform_dsn: str) -> None:
    role = 'odd "role" of tests'
    first = await apply_roles(platform_dsn, "platform", role=role, password=PASSWORD)
    async with connected(platform_dsn) as admin:
        quoted = '"odd ""role"" of tests"'
        await admin.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {quoted}")
        await admin.execute(f"GRANT UPDATE (name) ON organizations TO {quoted}")
        await admin.execute(f"GRANT pg_write_all_data TO {quoted}")
        await admin.execute(f"GRANT CREATE ON SCHEMA public TO {quoted}")
        await admin.execute(f"ALTER ROLE {quoted} CREATEDB CREATEROLE")
    assert await apply_roles(platform_dsn, "platform", role=role) == first
    async with connected(as_role(platform_dsn, role)) as reader:  # the password is still the one of the first time
        await reader.execute("SET default_transaction_read_only = off")
        for statement in (
            "UPDATE organizations SET name = 'x'",
            "DELETE FROM organizations",
            "CREATE TABLE x ()",
            "CREATE ROLE x",
            "CREATE DATABASE x",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await reader.execute(statement)


async def test_the_owner_of_the_labeler_db_makes_tables(create_database: DatabaseFactory) -> None:
    role = "owner_of_tests"
    dsn = await create_database()
    for _ in range(2):
        await apply_roles(dsn, "labeler", role=role, password=PASSWORD)
    async with connected(as_role(dsn, role)) as owner:
        await owner.execute("CREATE TABLE x (id int); INSERT INTO x VALUES (1); CREATE TEMP TABLE y ()")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await owner.execute("CREATE ROLE z")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):  # nobody else has CONNECT
        async with connected(as_role(dsn, await _somebody(dsn))):
            pass


async def _somebody(dsn: str) -> str:
    async with connected(dsn) as admin:
        await admin.execute(f"CREATE ROLE somebody_of_tests LOGIN PASSWORD '{PASSWORD.replace(chr(39), chr(39) * 2)}'")
    return "somebody_of_tests"


async def test_only_columns_that_exist_are_granted(create_database: DatabaseFactory) -> None:
    dsn = await create_database()
    async with connected(dsn) as admin:
        await admin.execute("CREATE TABLE users (id int, email text, is_active bool, password_reset_token text)")
    statements = await apply_roles(dsn, "users", role="reader_of_few")
    grants = [statement for statement in statements if statement.startswith("GRANT SELECT")]
    assert grants == ['GRANT SELECT ("id", "email", "is_active") ON TABLE public."users" TO "reader_of_few"']


@pytest.mark.parametrize("database", DATABASES)
def test_printed_they_name_the_usual_role_and_no_password(database: Database) -> None:
    usual = {"labeler": "labeler", "users": "user_readonly", "platform": "platform_readonly"}
    statements = roles_sql(database)
    assert f'CREATE ROLE "{usual[database]}" LOGIN' in statements[0]
    assert not any("PASSWORD" in statement for statement in statements)
    assert "password_reset_token" not in " ".join(statements)
    assert any(statement.endswith(" PASSWORD 'x'") for statement in roles_sql(database, password="x"))


async def test_nothing_is_changed_when_one_statement_fails(platform_dsn: str) -> None:
    role = "half_an_admin_of_tests"
    await apply_roles(platform_dsn, "platform", role=role, password=PASSWORD)
    async with connected(platform_dsn) as admin:
        await admin.execute(f"ALTER ROLE {role} CREATEROLE")
        await admin.execute(
            f"ALTER ROLE {role} IN DATABASE {await admin.fetchval('SELECT current_database()')} RESET ALL"
        )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):  # it makes the role, and may do no more
        await apply_roles(as_role(platform_dsn, role), "platform", role="never_made")
    async with connected(platform_dsn) as admin:
        assert not await admin.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = 'never_made'")
