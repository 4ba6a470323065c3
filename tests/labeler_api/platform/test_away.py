"""A Platform DB that is missing, away, hanging, without its tables, or opened with a role that could write."""

import asyncio
import socket
from collections.abc import Iterator
from time import perf_counter
from urllib.parse import urlsplit

import asyncpg
import pytest
from structlog.testing import capture_logs

from labeler_api.db.read_only_role import prove
from labeler_ops.stack.ports import free_port
from service_kit.role_privileges import RoleCanWrite
from tests.fixtures.api import Api
from tests.fixtures.left_locks import cut_everywhere
from tests.fixtures.platform import READER, READER_PASSWORD, PlatformDb, StartPlatformApi
from tests.fixtures.timing import check_within

ORGANIZATIONS = "/api/v1/platform/organizations"
CALLS = (ORGANIZATIONS, f"{ORGANIZATIONS}/1", "/api/v1/platform/workspaces?organization_id=1")


async def _is_503_and_harms_nothing(api: Api) -> str:
    """Check the platform's calls, and that the others do not notice; return what /health/db says."""
    owner = await api.login("owner")
    for path in CALLS:
        answer = await owner.get(path)
        assert answer.status_code == 503
        assert answer.json()["code"] == "platform_unavailable"
        assert int(answer.headers["Retry-After"]) >= 1
    hidden = await owner.get(f"{ORGANIZATIONS}/2")
    assert hidden.status_code == 404  # what is hidden stays hidden
    assert (await owner.get("/api/v1/auth/me")).json()["organization"] is None
    assert (await owner.get("/api/v1/users/6")).json()["organization"] is None
    assert (await owner.get("/api/v1/datasets")).json() == []
    assert (await owner.get("/health/ready")).status_code == 200
    state = (await owner.get("/health/db")).json()
    assert state["labeler_db"] == "connected"
    return str(state["platform_db"])


async def test_without_one(start_platform_api: StartPlatformApi) -> None:
    assert await _is_503_and_harms_nothing(await start_platform_api()) == "not configured"


async def test_away(start_platform_api: StartPlatformApi) -> None:
    api = await start_platform_api(PLATFORM_DB_URL=f"postgresql://nobody:x@127.0.0.1:{free_port()}/platform")
    assert "Platform data cannot be read" in await _is_503_and_harms_nothing(api)


async def test_health_says_that_it_is_there(platform_api: Api) -> None:
    async with platform_api.client() as client:
        assert (await client.get("/health/db")).json() == {"platform_db": "connected", "labeler_db": "connected"}


async def test_without_its_tables(start_platform_api: StartPlatformApi, platform_db: PlatformDb) -> None:
    await platform_db.execute("DROP TABLE workspaces, organizations")
    api = await start_platform_api(PLATFORM_DB_URL=platform_db.dsn)
    owner = await api.login("owner")
    with capture_logs() as lines:
        answer = await owner.get(ORGANIZATIONS)
    assert answer.status_code == 503
    assert answer.json()["code"] == "platform_unavailable"
    assert [line["sqlstate"] for line in lines if line["event"] == "the Platform DB cannot be used"] == ["42P01"]
    assert (await owner.get("/api/v1/auth/me")).json()["organization"] is None


async def test_back_again(start_platform_api: StartPlatformApi, platform_db: PlatformDb) -> None:
    name = urlsplit(platform_db.dsn).path.removeprefix("/")
    api = await start_platform_api(PLATFORM_DB_URL=platform_db.dsn)
    owner = await api.login("owner")
    assert (await owner.get(ORGANIZATIONS)).status_code == 200
    admin = await asyncpg.connect(urlsplit(platform_db.admin_dsn)._replace(path="/postgres").geturl())
    try:
        await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        assert (await owner.get(ORGANIZATIONS)).status_code == 503
        await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    finally:
        await admin.close()
    # The probe of /health/db asks whatever was a moment ago, and finds out.
    assert (await owner.get("/health/db")).json()["platform_db"] == "connected"
    assert (await owner.get(ORGANIZATIONS)).status_code == 200
    assert (await owner.get("/api/v1/auth/me")).json()["organization"]["name"] == "Example organization"


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield server.getsockname()[1]


async def test_hanging_it_slows_nothing(start_platform_api: StartPlatformApi, silent_port: int) -> None:
    api = await start_platform_api(PLATFORM_DB_URL=f"postgresql://x:x@127.0.0.1:{silent_port}/platform")
    owner = await api.login("owner")
    await owner.get("/api/v1/datasets")
    started = perf_counter()
    first = await owner.get("/api/v1/auth/me")
    waited = perf_counter() - started
    assert first.json()["organization"] is None
    assert waited >= 0.2
    check_within(waited, 1.5)  # a quarter of a second, and the machine's own slowness
    started = perf_counter()
    answers = await asyncio.gather(*(owner.get("/api/v1/auth/me") for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    check_within(perf_counter() - started, 50 * 0.25 / 2)  # nobody waits a second time
    started = perf_counter()
    assert (await owner.get(ORGANIZATIONS)).status_code == 503
    check_within(perf_counter() - started, 5)


EXCESSES = {
    "INSERT on organizations": "GRANT INSERT ON organizations TO {role}",
    "UPDATE on workspaces": "GRANT UPDATE (name) ON workspaces TO {role}",
    "DELETE on organizations": "GRANT DELETE ON organizations TO PUBLIC",
    "CREATE on the schema public": "GRANT CREATE ON SCHEMA public TO {role}",
    "TEMPORARY on the database": 'GRANT TEMPORARY ON DATABASE "{database}" TO PUBLIC',
    "UPDATE on the sequence": "GRANT UPDATE ON SEQUENCE organizations_id_seq TO {role}",
    "EXECUTE on lo_create": "GRANT EXECUTE ON FUNCTION lo_create(oid) TO {role}",
    "the role attribute CREATEDB": "ALTER ROLE {role} CREATEDB",
    "the role attribute SUPERUSER": "ALTER ROLE {role} SUPERUSER",
    "membership in the role": "GRANT pg_write_all_data TO {role}",
    "ownership of": "CREATE TABLE theirs (); ALTER TABLE theirs OWNER TO {role}",
    "SECURITY DEFINER function": "CREATE FUNCTION purge() RETURNS void LANGUAGE sql SECURITY DEFINER "
    "AS 'DELETE FROM organizations'",
    "the foreign server": "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; "
    "GRANT USAGE ON FOREIGN SERVER s TO {role}",
}


async def test_the_proof_sees_every_way_to_write(platform_db: PlatformDb) -> None:
    database = urlsplit(platform_db.dsn).path.removeprefix("/")
    for number, (privilege, grant) in enumerate(EXCESSES.items()):
        role = f"platform_excess_{number}"
        await platform_db.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{READER_PASSWORD}'")
        connection = await asyncpg.connect(platform_db.dsn.replace(f"//{READER}:", f"//{role}:"))
        try:
            await prove(connection)  # fine so far
            await platform_db.execute(grant.format(role=role, database=database))
            with pytest.raises(RoleCanWrite, match=privilege):
                await prove(connection)
        finally:
            await connection.close()
            await platform_db.execute(
                f'REVOKE DELETE ON organizations FROM PUBLIC; REVOKE TEMPORARY ON DATABASE "{database}" FROM PUBLIC;'
                " DROP FUNCTION IF EXISTS purge(); DROP FOREIGN DATA WRAPPER IF EXISTS w CASCADE;"
                f" DROP OWNED BY {role}; DROP ROLE {role}"
            )


async def test_a_role_that_could_write_is_refused(
    start_platform_api: StartPlatformApi, platform_db: PlatformDb
) -> None:
    await platform_db.execute(f"GRANT UPDATE (name) ON organizations TO {READER}")
    api = await start_platform_api(PLATFORM_DB_URL=platform_db.dsn)
    owner = await api.login("owner")
    with capture_logs() as lines:
        answers = [await owner.get(path) for path in CALLS]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(503, "platform_unavailable")}
    [line] = [line for line in lines if line["event"] == "the Platform DB cannot be used"]
    assert "PLATFORM_DB_ALLOW_WRITABLE" in line["why"]
    assert line["found"] == "UPDATE on organizations"
    assert "could write" in (await owner.get("/health/db")).json()["platform_db"]
    assert (await owner.get("/api/v1/auth/me")).json()["organization"] is None


async def test_a_writable_role_is_let_through_when_asked_and_used_read_only(
    start_platform_api: StartPlatformApi, platform_db: PlatformDb
) -> None:
    api = await start_platform_api(PLATFORM_DB_URL=platform_db.admin_dsn, PLATFORM_DB_ALLOW_WRITABLE="1")
    owner = await api.login("owner")
    assert (await owner.get(ORGANIZATIONS)).status_code == 200
    async with api.services.platform._pool.acquire() as connection:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await connection.execute("DELETE FROM organizations")


async def test_the_role_cannot_write_even_without_the_default(platform_db: PlatformDb) -> None:
    connection = await asyncpg.connect(platform_db.dsn)
    try:
        await connection.execute("SET default_transaction_read_only = off")
        for statement in (
            "INSERT INTO organizations (name, company) VALUES ('x', 'x')",
            "UPDATE workspaces SET name = 'x'",
            "CREATE TEMPORARY TABLE x ()",
            "SELECT lo_create(0)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_read_that_is_cut_off_leaves_no_lock(
    start_platform_api: StartPlatformApi, platform_db: PlatformDb
) -> None:
    """The tables are another service's, whose migrations would wait for it."""
    api = await start_platform_api(PLATFORM_DB_URL=platform_db.dsn)
    await api.services.platform.ping()

    async def read(number: int) -> None:
        async with api.services.platform.read() as connection:
            await connection.fetch(f"SELECT name AS name_{number} FROM organizations")

    await cut_everywhere(platform_db.admin_dsn, "organizations", read)
