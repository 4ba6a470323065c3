"""Behind PgBouncer in transaction mode, as hosted databases run it: nothing of the start-up packet is ignored."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from labeler_api.db.pool import Database, PoolOptions
from labeler_api.errors import Unavailable
from labeler_ops.stack.object_store import SeaweedServer
from tests.fixtures.annotating import BOX
from tests.fixtures.api import storage_environment
from tests.fixtures.api_processes import ApiProcess
from tests.fixtures.pictures import picture
from tests.fixtures.users import RunningGateway

_LIMITS = {
    "statement_timeout": "20s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "15s",
    "jit": "off",
    "TimeZone": "UTC",
    "application_name": "labeler_api",
}


@pytest.fixture
async def db(pooler: str) -> AsyncIterator[Database]:
    db = await Database.connect(pooler, PoolOptions(min_size=5, max_size=10, statement_cache=False))
    yield db
    await db.close()


async def test_the_pooler_takes_no_limits_at_the_start(pooler: str) -> None:
    """Else this file would show nothing."""
    with pytest.raises(asyncpg.ProtocolViolationError, match="unsupported startup parameter"):
        await asyncpg.connect(pooler, server_settings={"statement_timeout": "20s"})


async def test_each_transaction_has_its_limits(db: Database) -> None:
    show = "SELECT name, current_setting(name) AS value FROM unnest($1::text[]) name"
    long = {"statement_timeout": "10min", "idle_in_transaction_session_timeout": "1min", "lock_timeout": "30s"}
    names = list(_LIMITS)
    async with db.read() as connection:
        assert {row["name"]: row["value"] for row in await connection.fetch(show, names)} == _LIMITS
    async with db.begin() as tx:
        assert {row["name"]: row["value"] for row in await tx.fetch(show, names)} == _LIMITS
    async with db.begin(long=True) as tx:
        assert {row["name"]: row["value"] for row in await tx.fetch(show, names)} == _LIMITS | long
    async with db.snapshot() as snapshot:
        found = {row["name"]: row["value"] for row in await snapshot.fetch(show, names)}
        assert found["idle_in_transaction_session_timeout"] == found["statement_timeout"] == "10min"


async def test_no_limit_stays_behind_on_a_connection_that_others_get(db: Database, pooler: str) -> None:
    async with db.begin(long=True) as tx:
        await tx.execute("SELECT 1")
    connection = await asyncpg.connect(pooler, statement_cache_size=0)
    shown = [await connection.fetchval("SELECT current_setting('statement_timeout')") for _ in range(5)]
    await connection.close()
    assert shown == ["0"] * 5


async def test_many_at_once_on_few_connections(db: Database) -> None:
    async with db.begin() as tx:
        await tx.execute("CREATE TABLE t (id int, note text)")

    async def work(number: int) -> str:
        async with db.begin() as tx:
            await tx.executemany("INSERT INTO t VALUES ($1, $2)", [(number, f"{number}/{i}") for i in range(5)])
        async with db.read() as connection:
            rows = await connection.fetch("SELECT note FROM t WHERE id = $1 ORDER BY note", number)
            found = await connection.fetchval("SELECT array_agg(note ORDER BY note) FROM t WHERE id = $1", number)
        assert [row["note"] for row in rows] == found
        return f"{found}"

    answers = await asyncio.gather(*(work(number) for number in range(60)))
    assert answers == [f"{[f'{number}/{i}' for i in range(5)]}" for number in range(60)]
    await db.ping()


async def test_a_failed_read_leaves_a_sound_connection(db: Database) -> None:
    async def fail() -> None:
        async with db.read() as connection:
            await connection.fetchval("SELECT 1")
            raise Unavailable("It was given up.")

    for _ in range(20):
        with pytest.raises(Unavailable):
            await fail()
    async with db.read() as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_the_api_starts_and_works(
    pooler: str, labeler_dsn: str, gateway: RunningGateway, object_store: SeaweedServer, tmp_path: Path
) -> None:
    """From logging in to a published version; jobs and maintenance mode take the way around the pooler."""
    process = ApiProcess(
        {
            **storage_environment(object_store),
            "LABELER_DB_URL": pooler,
            "LABELER_DB_UNPOOLED_URL": labeler_dsn,
            "DB_STATEMENT_CACHE": "false",
            "USER_GATEWAY_ADDRESS": gateway.address,
            "USER_GATEWAY_TOKEN": gateway.token,
        },
        tmp_path / "api.log",
    )
    process.launch()
    try:
        await process.ready()
        async with httpx.AsyncClient(base_url=f"{process.url}/api/v1", timeout=60, trust_env=False) as client:
            await _work(client)
        for trouble in ("maintenance mode cannot be read", "job queue is not available", "Traceback"):
            assert trouble not in process.log, process.log[-4000:]
    finally:
        await process.stop()


async def _work(client: httpx.AsyncClient) -> None:
    login = {"email": "owner@example.com", "password": "owner123"}
    token = (await client.post("/auth/login", json=login)).raise_for_status().json()["access_token"]
    client.headers["Authorization"] = f"Bearer {token}"
    body = {"name": "Pooled", "task_types": ["detection"], "visibility": "private"}
    dataset_id = (await client.post("/datasets", json=body)).raise_for_status().json()["id"]
    files = [("files", (f"train/good/{number}.jpg", picture())) for number in range(3)]
    uploaded = (await client.post(f"/datasets/{dataset_id}/images", files=files)).raise_for_status().json()
    assert uploaded["images_uploaded"] == 3
    project_id = (await client.get(f"/datasets/{dataset_id}/project")).raise_for_status().json()["id"]
    images = (await client.get(f"/projects/{project_id}/images")).raise_for_status().json()["images"]
    for image in images:
        box: dict[str, object] = {
            "project_id": project_id,
            "image_id": image["id"],
            "annotation_type": "bbox",
            "geometry": BOX,
            "class_id": "c1",
            "class_name": "scratch",
        }
        await asyncio.gather(*(_drawn(client, box) for _ in range(5)))
    listed = (await client.get(f"/annotations/project/{project_id}")).raise_for_status().json()
    assert len(listed) == 15
    wanted = {"task_type": "detection", "export_format": "coco", "include_draft": True}
    version = (await client.post(f"/projects/{project_id}/versions/publish", json=wanted)).raise_for_status().json()
    assert version["version_number"] == "v1.0"
    assert version["annotation_count"] == 15


async def _drawn(client: httpx.AsyncClient, body: dict[str, object]) -> None:
    (await client.post("/annotations", json=body)).raise_for_status()
