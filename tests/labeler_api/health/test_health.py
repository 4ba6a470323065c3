"""The root and the health calls, with every part there and with each of them away."""

import re
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median
from time import monotonic
from urllib.parse import urlsplit

import asyncpg
import pytest

from labeler_api.app import create_app, open_services
from labeler_ops.stack.object_store import SeaweedServer
from labeler_ops.stack.ports import free_port
from labeler_ops.stack.postgres import PostgresServer
from tests.fixtures import gateway_process
from tests.fixtures.api import Api, api_settings, storage_environment
from tests.fixtures.timing import check_within
from tests.fixtures.users import RunningGateway
from tests.fixtures.waiting import until

StartApi = Callable[..., Awaitable[Api]]


@pytest.fixture
async def start_api(labeler_dsn: str, gateway: RunningGateway, object_store: SeaweedServer) -> AsyncIterator[StartApi]:
    """A function that starts an application with some variables of its own: `await start_api(S3_ENDPOINT=…)`."""
    async with AsyncExitStack() as stack:

        async def start(**variables: str) -> Api:
            environ = {**storage_environment(object_store), "DB_POOL_TIMEOUT": "5", **variables}
            settings = api_settings(labeler_dsn, gateway.address, gateway.token, environ)
            services = await open_services(settings, stack)
            return Api(create_app(settings, services), services)

        yield start


async def test_nobody_need_be_logged_in(api: Api) -> None:
    async with api.client() as client:
        root = await client.get("/")
        health = await client.get("/health")
        databases = await client.get("/health/db")
        ready = await client.get("/health/ready")
        deployable = await client.get("/health/deploy")
    settings = api.services.settings
    assert root.json() == {
        "name": settings.app_name,
        "version": settings.app_version,
        "status": "running",
        "environment": "test",
        "docs": "/docs",
    }
    assert health.json() == {"status": "healthy", "version": settings.app_version, "environment": "test"}
    assert databases.json() == {"platform_db": "not configured", "labeler_db": "connected"}
    assert ready.json() == {
        "status": "ready",
        "process": "ok",
        "labeler_db": "ok",
        "user_gateway": "ok",
        "object_store": "ok",
    }
    assert deployable.json() == ready.json()
    assert {answer.status_code for answer in (root, health, databases, ready, deployable)} == {200}


_ALL = {"labeler_db", "user_gateway", "object_store"}


@pytest.mark.parametrize(
    ("part", "variable", "form", "status"),
    [
        ("labeler_db", "LABELER_DB_URL", "postgresql://nobody:x@127.0.0.1:{port}/labeler", 503),
        ("user_gateway", "USER_GATEWAY_ADDRESS", "127.0.0.1:{port}", 200),
        ("object_store", "S3_ENDPOINT", "http://127.0.0.1:{port}", 200),
    ],
)
async def test_a_part_that_is_away_is_named_and_takes_no_process_out_of_service_that_others_could_not_replace(
    start_api: StartApi, part: str, variable: str, form: str, status: int
) -> None:
    api = await start_api(**{variable: form.format(port=free_port())})
    async with api.client() as client:
        ready, deployable = await client.get("/health/ready"), await client.get("/health/deploy")
        alive = [await client.get(path) for path in ("/", "/health", "/health/db")]
        metrics = (await client.get("/metrics")).text
    assert ready.status_code == status
    assert ready.json()["status"] == ("not ready" if status == 503 else "degraded")
    assert deployable.status_code == 503
    assert deployable.json()["status"] == "not ready"
    for answer in (ready, deployable):
        assert {name for name in _ALL if answer.json()[name] != "ok"} == {part}
        assert "127.0.0.1" not in answer.text
    assert {answer.status_code for answer in alive} == {200}
    for name in _ALL:
        assert f'labeler_part_available{{part="{name}"}} {0.0 if name == part else 1.0}' in metrics
    looked_at = re.search(r"^labeler_parts_looked_at_seconds (\S+)$", metrics, re.MULTILINE)
    assert looked_at is not None
    check_within(time.time() - float(looked_at[1]), 60)


async def test_a_process_in_maintenance_of_its_own_is_not_ready(start_api: StartApi) -> None:
    """Another process could do the writes that this one refuses."""
    api = await start_api(MAINTENANCE_MODE="true")
    async with api.client() as client:
        for path in ("/health/ready", "/health/deploy"):
            answer = await client.get(path)
            assert answer.status_code == 503
            assert answer.json()["process"] == "maintenance"


async def test_maintenance_of_the_whole_system_takes_nobody_out_of_service(api: Api) -> None:
    """People go on reading."""
    await api.services.db.ping()
    async with api.db.begin() as tx:
        await tx.execute("UPDATE maintenance SET mode = 'on'")
    async with api.client() as client:
        assert (await client.get("/health/ready")).json()["status"] == "ready"


async def test_a_frozen_gateway_takes_nobody_out_of_service(start_api: StartApi, users_dsn: str) -> None:
    """Its absence is bridged for a while, and a probe waits for no more than a second."""
    process = await gateway_process.start(users_dsn)
    try:
        await process.wait_ready()
        api = await start_api(USER_GATEWAY_ADDRESS=process.address)
        async with api.client() as client:
            assert (await client.get("/health/ready")).json()["status"] == "ready"
            process.process.send_signal(signal.SIGSTOP)
            taken = []
            for _ in range(10):
                began = monotonic()
                answer = await client.get("/health/ready")
                taken.append(monotonic() - began)
                assert answer.status_code == 200, answer.text
                assert answer.json()["status"] == "degraded", answer.text
                assert answer.json()["user_gateway"] != "ok"
            check_within(median(taken), 1.0, taken)
            process.process.send_signal(signal.SIGCONT)

            async def ready() -> bool:
                return bool((await client.get("/health/ready")).json()["status"] == "ready")

            await until(ready, 10.0, "ready again")
    finally:
        process.process.send_signal(signal.SIGCONT)
        await process.kill()


@asynccontextmanager
async def _moved_away(server: PostgresServer, dsn: str) -> AsyncIterator[None]:
    """Give a database another name for a while; whoever is connected is thrown out."""
    name = urlsplit(dsn).path.removeprefix("/")
    admin = await asyncpg.connect(server.dsn("postgres"))
    try:
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        await admin.execute(f'ALTER DATABASE "{name}" RENAME TO "{name}_away"')
        yield
        await admin.execute(f'ALTER DATABASE "{name}_away" RENAME TO "{name}"')
    finally:
        await admin.close()


async def test_a_database_that_goes_away_is_503_until_it_is_back(
    api: Api, postgres: PostgresServer, labeler_dsn: str
) -> None:
    owner = await api.login("owner")
    assert (await owner.get("/api/v1/datasets")).status_code == 200
    async with _moved_away(postgres, labeler_dsn):
        answers = [await owner.get("/api/v1/datasets"), await owner.post("/api/v1/datasets", json={"name": "x"})]
        for answer in answers:
            assert answer.status_code == 503
            assert answer.json()["code"] == "database_unavailable"
            assert int(answer.headers["Retry-After"]) >= 1
        assert (await owner.get("/health")).status_code == 200
        ready = await owner.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json()["user_gateway"] == "ok"
        assert ready.json()["labeler_db"] != "ok"
    assert (await owner.get("/api/v1/datasets")).json() == []
    assert (await owner.get("/health/ready")).status_code == 200


async def test_a_connection_that_was_cut_is_503_at_worst(api: Api, postgres: PostgresServer, labeler_dsn: str) -> None:
    owner = await api.login("owner")
    for _ in range(20):  # the cut is noticed at different moments
        async with _moved_away(postgres, labeler_dsn):
            pass
        answers = [await owner.get("/api/v1/datasets"), await owner.get("/api/v1/datasets/x")]
        assert answers[0].status_code in {200, 503}
        assert answers[1].status_code in {404, 503}
    assert (await owner.get("/api/v1/datasets")).status_code == 200
