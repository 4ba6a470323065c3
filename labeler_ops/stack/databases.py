"""The three databases of the embedded cluster: made once, with their roles, schemas and demo accounts."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import bcrypt

from labeler_api.migrations import HEAD
from labeler_ops.connecting import Connection, connected
from labeler_ops.database import state
from labeler_ops.database.roles import DATABASES, ROLES, Database, apply_roles
from labeler_ops.errors import DatabaseError, StackError
from labeler_ops.stack.accounts import ACCOUNTS, DemoAccount
from labeler_ops.stack.postgres import PostgresServer

_SQL = Path(__file__).parent / "sql"
_HASH_COST = 10  # 50 ms a password; 12 in production: these five are known to everybody

_INSERT_ACCOUNT = """
INSERT INTO users
    (id, email, hashed_password, full_name, company, organization_id, system_role, avatar_name, badge_color)
VALUES ($1, $2, $3, $4, 'Example', 1, $5::text::userrole, $6, $7)
"""
_NEXT_ID = "SELECT setval(pg_get_serial_sequence('users', 'id'), (SELECT max(id) FROM users))"
_PLATFORM_ROWS = """
INSERT INTO organizations (id, name, company) VALUES (1, 'Example organization', 'Example');
INSERT INTO workspaces (organization_id, name) VALUES (1, 'Example workspace');
SELECT setval(pg_get_serial_sequence('organizations', 'id'), 1);
"""


async def prepare(server: PostgresServer, secrets: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Make what is missing of the databases that were not given; returns the URL of each of the three.

    Every step may be repeated: a start that was cut off is finished by the next one.
    """
    urls = dict(given)
    for database in DATABASES:
        if database not in given:
            await _prepare_one(server, database, secrets[ROLES[database]])
            urls[database] = server.dsn(database, ROLES[database], secrets[ROLES[database]])
    return {database: urls[database] for database in DATABASES}


async def needs_upgrade(url: str, *, given: bool) -> bool:
    """Say whether migrations are to be run. Raises StackError for a given database that holds older data.

    An embedded database and an empty given one are upgraded; somebody else's data is not touched without asking.
    """
    try:
        revision = await state.revision(url)
    except DatabaseError as error:
        raise StackError(str(error)) from error
    if revision == HEAD:
        return False
    if given and not await _is_empty(url):
        raise StackError(
            f"LABELER_DB_URL is at revision {revision or 'none'}, this program needs {HEAD}:"
            " make a backup, then run `labeler db upgrade`"
        )
    return True


async def upgrade(url: str) -> None:
    """Run the migrations. Raises StackError."""
    from labeler_ops.database.upgrade import upgrade as run  # Alembic is slow to load, and seldom needed

    try:
        await run(url)
    except DatabaseError as error:
        raise StackError(f"migrations: {error}") from error


async def _prepare_one(server: PostgresServer, database: Database, password: str) -> None:
    await _create(server, database)
    async with connected(server.dsn(database)) as connection:
        if database == "users" and await _lacks(connection, "users"):
            await _make_users(connection)
        if database == "platform" and await _lacks(connection, "organizations"):
            await _make_platform(connection)
    await apply_roles(server.dsn(database), database, password=password)


async def _create(server: PostgresServer, database: Database) -> None:
    async with connected(server.dsn("postgres")) as connection:
        if not await connection.fetchval("SELECT count(*) FROM pg_database WHERE datname = $1", database):
            await connection.execute(f'CREATE DATABASE "{database}"')


async def _lacks(connection: Connection, table: str) -> bool:
    return await connection.fetchval("SELECT to_regclass($1)", f"public.{table}") is None


async def _make_users(connection: Connection) -> None:
    hashes = await asyncio.gather(*(asyncio.to_thread(_hashed, account) for account in ACCOUNTS))
    rows = [
        (one.user_id, one.email, hashed, one.full_name, one.system_role, one.avatar_name, one.badge_color)
        for one, hashed in zip(ACCOUNTS, hashes, strict=True)
    ]
    async with connection.transaction():
        await connection.execute((_SQL / "users.sql").read_text())
        await connection.executemany(_INSERT_ACCOUNT, rows)
        await connection.fetchval(_NEXT_ID)


async def _make_platform(connection: Connection) -> None:
    async with connection.transaction():
        await connection.execute((_SQL / "platform.sql").read_text())
        await connection.execute(_PLATFORM_ROWS)


async def _is_empty(url: str) -> bool:
    async with state.opened(url) as connection:
        return not await connection.fetchval(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
        )


def _hashed(account: DemoAccount) -> str:
    return bcrypt.hashpw(account.password.encode(), bcrypt.gensalt(_HASH_COST)).decode()
