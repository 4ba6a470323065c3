"""The probes, against real servers: everything as it should be, and each thing that is not."""

import asyncpg
import pytest

from labeler_api.db import platform
from labeler_api.db.connection import at_the_start
from labeler_ops.environment import connections
from labeler_ops.environment.environment_check import Report, check
from labeler_ops.environment.variables import SERVICES
from labeler_ops.stack.object_store import SeaweedServer
from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.buckets import PROBE_PREFIX, connect
from labeler_ops.storage.probe import probe
from tests.fixtures.api import storage_environment
from tests.fixtures.platform import PlatformDb
from tests.fixtures.users import ALL_SCOPES, RunningGateway, StartGateway, UsersDatabase

ORIGIN = "http://localhost:3010"


@pytest.fixture
def environment(
    labeler_dsn: str,
    platform_db: PlatformDb,
    users_dsn: str,
    gateway: RunningGateway,
    object_store: SeaweedServer,
) -> dict[str, str]:
    return {
        "ENVIRONMENT": "test",
        "LABELER_DB_URL": labeler_dsn,
        "PLATFORM_DB_URL": platform_db.dsn,
        "USER_DB_URL": users_dsn,
        "USER_GATEWAY_ADDRESS": gateway.address,
        "USER_GATEWAY_TOKEN": gateway.token,
        "USER_GATEWAY_TOKENS": f"labeler={gateway.token}:{ALL_SCOPES}",
        "CORS_ORIGINS": ORIGIN,
        **storage_environment(object_store),
    }


async def connected(environment: dict[str, str], **changes: str) -> Report:
    return await check({**environment, **changes}, SERVICES, source="test", connect=True)


def wrong(report: Report) -> dict[str, str]:
    return {f"{one.part}, {one.what}": one.text for one in report.probes if one.level == "wrong"}


async def test_every_part_answers(environment: dict[str, str]) -> None:
    report = await connected(environment)
    assert wrong(report) == {}
    seen = {f"{one.part}, {one.what}": one.text for one in report.probes}
    for database in ("Labeler DB", "Platform DB", "User DB"):
        assert seen[f"{database}, version"].startswith("PostgreSQL 1")
        assert seen[f"{database}, latency"].endswith("ms a round trip (median of 9)")
        assert seen[f"{database}, collation"].startswith("UTF8")
        assert seen[f"{database}, TLS"] == "not encrypted"
    assert seen["Labeler DB, schema"].startswith("revision ")
    assert "proven" in seen["User DB, read-only"]
    assert "proven" in seen["Platform DB, read-only"]
    for bucket in ("datasets", "annotations"):
        for what in ("bucket", "put", "get", "range", "list", "multipart", "presign", "cors", "delete"):
            assert f"object store, {bucket}: {what}" in seen
    assert "knows the token" in seen["user gateway, token"]
    assert seen["user gateway, scopes"] == "the token has users.read, users.read_private, credentials.verify"
    assert "read-only" in seen["user gateway, User DB"]
    # One server for all three: their sums are added up.
    assert len({allowance.server for allowance in report.allowances}) == 1


async def test_each_thing_that_is_wrong_is_found(
    environment: dict[str, str], shared_users: UsersDatabase, platform_db: PlatformDb
) -> None:
    report = await connected(
        environment,
        USER_DB_URL=shared_users.admin_dsn,
        PLATFORM_DB_URL=platform_db.admin_dsn,
        USER_GATEWAY_TOKEN="a-token-that-nobody-knows",
        S3_BUCKET_ANNOTATIONS="absent-bucket",
        DB_POOL_SIZE="400",
    )
    found = wrong(report)
    assert "could write" in found["User DB, read-only"]
    assert "could write" in found["Platform DB, read-only"]
    assert "not known" in found["user gateway, token"]
    assert "does not exist" in found["object store, absent-bucket: bucket"]
    assert not any(name.startswith("object store, datasets") for name in found)
    assert any("may open 85" in problem.text for problem in report.problems)  # (400 + 10 + 2) × 2 + 3 + 6 + 22
    assert not report.right


async def test_parts_that_are_away_are_named_and_nothing_is_raised(environment: dict[str, str]) -> None:
    away = "127.0.0.1:9"
    report = await connected(
        environment,
        LABELER_DB_URL=f"postgresql://u:hidden-password@{away}/d",
        USER_GATEWAY_ADDRESS=away,
        S3_ENDPOINT=f"http://{away}",
    )
    found = wrong(report)
    assert {"Labeler DB, connection", "Labeler DB, LISTEN", "user gateway, token"} <= set(found)
    assert "object store, datasets: bucket" in found
    assert "hidden-password" not in str(report)


async def test_an_empty_labeler_db_is_no_fault(environment: dict[str, str], create_database: object) -> None:
    dsn = await create_database()  # type: ignore[operator]
    report = await connected(environment, LABELER_DB_URL=dsn)
    [schema] = [one for one in report.probes if one.what == "schema"]
    assert schema.level == "note"
    assert schema.text == "empty: run `labeler db upgrade`"
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("CREATE TABLE alembic_version (version_num text)")
        await connection.execute("INSERT INTO alembic_version VALUES ('20200101_0000')")
    finally:
        await connection.close()
    assert "this program needs" in wrong(await connected(environment, LABELER_DB_URL=dsn))["Labeler DB, schema"]


async def test_the_store_is_left_as_it_was(object_store: SeaweedServer) -> None:
    seen = await probe(object_store.access, [ORIGIN])
    assert {one.level for one in seen} == {"ok"}, seen
    async with connect(object_store.access) as client:
        for bucket in object_store.access.buckets:
            listed = await client.list_objects_v2(Bucket=bucket, Prefix=PROBE_PREFIX)
            assert listed["KeyCount"] == 0
            assert not (await client.list_multipart_uploads(Bucket=bucket, Prefix=PROBE_PREFIX)).get("Uploads")


async def test_a_store_without_cors_rules_or_with_a_wrong_key_is_refused(object_store: SeaweedServer) -> None:
    given = object_store.access
    bare = StorageAccess(given.endpoint, given.access_key, given.secret_key, given.region, "bare-one", "bare-two")
    async with connect(bare) as client:
        for bucket in bare.buckets:
            await client.create_bucket(Bucket=bucket)
        try:
            found = {one.what: one for one in await probe(bare, [ORIGIN])}
            assert found["bare-one: put"].level == "ok"
            assert found["bare-one: cors"].level == "wrong"
            assert "labeler storage init" in found["bare-one: cors"].text
        finally:
            for bucket in bare.buckets:
                await client.delete_bucket(Bucket=bucket)
    stranger = StorageAccess(given.endpoint, given.access_key, "not the secret")
    assert {one.level for one in await probe(stranger, [ORIGIN])} == {"wrong"}


async def test_a_token_without_every_scope_is_named(
    environment: dict[str, str], shared_users: UsersDatabase, start_gateway: StartGateway
) -> None:
    token = "a-token-that-may-only-read"
    running = await start_gateway(shared_users.dsn, USER_GATEWAY_TOKENS=f"labeler={token}:users.read")
    values = {name: value for name, value in environment.items() if not name.startswith(("USER_DB", "PLATFORM"))}
    given = {**values, "USER_GATEWAY_ADDRESS": running.address, "USER_GATEWAY_TOKEN": token}
    report = await check(given, ["api"], source="test", connect=True)
    assert wrong(report) == {"user gateway, scopes": "the token lacks users.read_private, credentials.verify"}


def test_the_sum_counts_the_platform_pool_as_it_is() -> None:
    assert connections._PLATFORM_POOL == platform._MOST_CONNECTIONS


async def test_a_pooler_is_looked_through_as_the_api_would(environment: dict[str, str], pooler: str) -> None:
    """In front of the Labeler DB stands a PgBouncer in transaction mode, on a port that says nothing."""
    report = await connected(environment, LABELER_DB_URL=pooler)
    found = wrong(report)
    assert "unsupported startup parameter" in found["Labeler DB, pooler"]
    assert "set DB_STATEMENT_CACHE=false and LABELER_DB_UNPOOLED_URL" in found["Labeler DB, pooler"]
    assert "set LABELER_DB_UNPOOLED_URL to the address past it" in found["Labeler DB, LISTEN"]

    right = {"LABELER_DB_URL": pooler, "LABELER_DB_UNPOOLED_URL": environment["LABELER_DB_URL"]}
    report = await connected(environment, **right, DB_STATEMENT_CACHE="false")
    assert wrong(report) == {}
    seen = {f"{one.part}, {one.what}": one.text for one in report.probes}
    assert seen["Labeler DB, pooler"] == (
        "connected as the API does: its limits come with each transaction (DB_STATEMENT_CACHE=false)"
    )
    assert seen["Labeler DB, schema"].startswith("revision ")


async def test_the_other_databases_have_to_be_reached_directly(environment: dict[str, str], pooler: str) -> None:
    report = await connected(environment, USER_DB_URL=pooler, PLATFORM_DB_URL=pooler)
    found = wrong(report)
    assert "USER_DB_URL has to be the unpooled address" in found["User DB, pooler"]
    assert "PLATFORM_DB_URL has to be the unpooled address" in found["Platform DB, pooler"]


IGNORED = ",".join(set(at_the_start(pooled=False)) - set(at_the_start(pooled=True)))


@pytest.mark.parametrize("pooler", [IGNORED], indirect=True, ids=["ignoring"])
async def test_a_pooler_that_swallows_the_limits_is_seen(environment: dict[str, str], pooler: str) -> None:
    """With `ignore_startup_parameters` it takes every connection, no limit holds, and nothing is heard."""
    found = wrong(await connected(environment, LABELER_DB_URL=pooler))
    assert "a statement's limit is 0, and not what the API sets" in found["Labeler DB, pooler"]
    assert "nothing is heard" in found["Labeler DB, LISTEN"]
