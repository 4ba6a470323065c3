"""Read-only, proven: what the role cannot do in PostgreSQL, and what the gateway refuses to start with."""

from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.fixtures.gateway_calls import Calls
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.users import READER, READER_PASSWORD, StartGateway, UsersDatabase
from user_gateway.writable_role import UserRoleCanWrite

WRITES = [
    "INSERT INTO users (email, hashed_password) VALUES ('x@example.com', '')",
    "UPDATE users SET full_name = 'x'",
    "UPDATE users SET full_name = full_name WHERE false",
    "DELETE FROM users",
    "TRUNCATE users",
    "SELECT id FROM users FOR UPDATE",
    "CREATE TABLE public.x (id int)",
    "CREATE TABLE x (id int)",
    "ALTER TABLE users ADD COLUMN x int",
    "DROP TABLE users",
    "CREATE INDEX ON users (full_name)",
    "CREATE SCHEMA x",
    "CREATE TEMPORARY TABLE x (id int)",
    "CREATE FUNCTION public.x() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE ROLE x",
    "CREATE DATABASE x",
    "GRANT pg_write_all_data TO user_readonly",
    "SELECT lo_create(0)",
    "SELECT lo_creat(0)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT nextval(pg_get_serial_sequence('users', 'id'))",
    "SELECT setval('users_id_seq', 1)",
    "COPY users (email) FROM STDIN",
    "COPY (SELECT 1) TO PROGRAM 'true'",
]
HIDDEN = ["password_reset_token", "password_reset_expires", "phone_number", "bio", "company_custom", "*"]


@pytest.mark.parametrize("statement", WRITES)
async def test_the_role_cannot_write_after_dropping_the_read_only_default(users_dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(users_dsn)
    try:
        assert await connection.fetchval("SHOW default_transaction_read_only") == "on"
        await connection.execute("SET default_transaction_read_only = off")
        assert await connection.fetchval("SHOW transaction_read_only") == "off"
        with pytest.raises(asyncpg.PostgresError) as caught:
            await connection.execute(statement)
        assert caught.value.sqlstate == "42501", caught.value
    finally:
        await connection.close()


@pytest.mark.parametrize("column", HIDDEN)
async def test_columns_outside_the_grant_cannot_be_read(users_dsn: str, column: str) -> None:
    connection = await asyncpg.connect(users_dsn)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch(f"SELECT {column} FROM users")
    finally:
        await connection.close()


async def test_the_proof_is_shown(calls: Calls) -> None:
    info = await calls.info()
    assert info.database_read_only
    assert not info.write_privileges
    assert info.proven_at.seconds > 0


EXCESSES = {
    "INSERT": "GRANT INSERT ON users TO {role}",
    "UPDATE": "GRANT UPDATE (full_name) ON users TO {role}",
    "DELETE": "GRANT DELETE ON users TO PUBLIC",
    "TRUNCATE": "GRANT TRUNCATE ON users TO {role}",
    "TRIGGER": "GRANT TRIGGER ON users TO {role}",
    "UPDATE on the sequence": "GRANT UPDATE ON SEQUENCE users_id_seq TO {role}",
    "CREATE on the schema": "GRANT CREATE ON SCHEMA public TO {role}",
    "CREATE on the database": 'GRANT CREATE ON DATABASE "{database}" TO {role}',
    "TEMPORARY on the database": 'GRANT TEMPORARY ON DATABASE "{database}" TO PUBLIC',
    "lo_create": "GRANT EXECUTE ON FUNCTION lo_create(oid) TO {role}",
    "lo_put": "GRANT EXECUTE ON FUNCTION lo_put(oid, bigint, bytea) TO PUBLIC",
    "CREATEROLE": "ALTER ROLE {role} CREATEROLE",
    "CREATEDB": "ALTER ROLE {role} CREATEDB",
    "REPLICATION": "ALTER ROLE {role} REPLICATION",
    "BYPASSRLS": "ALTER ROLE {role} BYPASSRLS",
    "SUPERUSER": "ALTER ROLE {role} SUPERUSER",
    "membership": "GRANT pg_write_all_data TO {role}",
    "ownership": "CREATE TABLE theirs (); ALTER TABLE theirs OWNER TO {role}",
    "SECURITY DEFINER": "CREATE FUNCTION purge() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM users'",
    "foreign server": "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; "
    "GRANT USAGE ON FOREIGN SERVER s TO {role}",
}


@pytest.mark.parametrize("excess", EXCESSES)
async def test_the_gateway_refuses_a_role_that_could_write(
    users_db: UsersDatabase, create_database: DatabaseFactory, start_gateway: StartGateway, excess: str
) -> None:
    role, database = f"excess_{list(EXCESSES).index(excess)}", urlsplit(users_db.dsn).path.removeprefix("/")
    await users_db.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{READER_PASSWORD}'")
    try:
        await users_db.execute(f"GRANT SELECT ON users TO {role}")
        dsn = users_db.dsn.replace(f"//{READER}:", f"//{role}:")
        await start_gateway(dsn)  # fine so far
        await users_db.execute(EXCESSES[excess].format(role=role, database=database))
        with pytest.raises(UserRoleCanWrite) as caught:
            await start_gateway(dsn)
        assert excess.partition(" on ")[0] in str(caught.value)
        assert "USER_DB_ALLOW_WRITABLE" in str(caught.value)
    finally:
        await users_db.execute(f"ALTER ROLE {role} NOSUPERUSER NOLOGIN")
        await create_database.drop(users_db.admin_dsn)


async def test_a_superuser_is_let_through_only_when_asked(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    with pytest.raises(UserRoleCanWrite, match="SUPERUSER"):
        await start_gateway(users_db.admin_dsn)
    running = await start_gateway(users_db.admin_dsn, USER_DB_ALLOW_WRITABLE="1")
    async with Calls(running.address, running.token) as calls:
        info = await calls.info()
        assert not info.database_read_only
        assert any("SUPERUSER" in privilege for privilege in info.write_privileges)
        assert (await calls.get(id=1)).id == 1


async def test_even_a_writable_role_is_used_read_only(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    running = await start_gateway(users_db.admin_dsn, USER_DB_ALLOW_WRITABLE="1")
    database = running.server._database
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await database.fetch("UPDATE users SET bio = 'x'", seconds=5.0)
