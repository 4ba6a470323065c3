"""GET /metrics of one API in this process: who may read it, what is counted, and that labels stay few."""

import asyncio
import contextlib
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import msgspec
import pytest

from labeler_api.app import create_app
from labeler_api.context import Services
from labeler_api.errors import NotFound
from labeler_api.resilience.caches import ByteCache
from labeler_api.telemetry.instruments import Instruments
from service_kit.metrics_directory import shared_metrics
from tests.fixtures.api import PUBLIC_URL, Api
from tests.fixtures.users import GATEWAY_TOKEN, OpenDirectory
from user_gateway.auth import MetricsAccess

Reader = Callable[..., Awaitable[httpx.Response]]
ROOT = Path(__file__).parents[2]


def value(api: Api, name: str, **labels: str) -> float:
    """The value of one sample; 0 where nothing was counted."""
    api.services.instruments.metrics.sample()
    return api.services.instruments.metrics.registry.get_sample_value(f"labeler_{name}", labels) or 0.0


@pytest.fixture
async def read(api: Api) -> AsyncIterator[Reader]:
    """Read /metrics from an address, with settings of one's own: `await read("10.0.0.9", environment="production")`."""
    async with AsyncExitStack() as stack:

        async def read(address: str = "127.0.0.1", **settings: str) -> httpx.Response:
            changed = msgspec.structs.replace(api.services.settings, **settings)
            services = Services(
                **{name: getattr(api.services, name) for name in Services.__slots__} | {"settings": changed}
            )
            transport = httpx.ASGITransport(create_app(changed, services), client=(address, 50_000))
            client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL))
            return await client.get("/metrics")

        yield read


@pytest.mark.parametrize(
    ("address", "environment", "token", "status"),
    [
        ("127.0.0.1", "development", "", 200),
        ("::1", "test", "", 200),
        ("::ffff:127.0.0.1", "test", "", 200),
        ("10.0.0.9", "development", "", 404),
        ("::ffff:10.0.0.9", "test", "", 404),
        ("not an address", "test", "", 404),
        ("127.0.0.1", "staging", "", 404),
        ("127.0.0.1", "production", "", 404),
        ("127.0.0.1", "production", "t" * 32, 401),
    ],
)
async def test_who_may_read(read: Reader, address: str, environment: str, token: str, status: int) -> None:
    answer = await read(address, environment=environment, metrics_token=token)
    assert answer.status_code == status
    # The gateway's rule is the same; production's has no exception for its own machine.
    access = MetricsAccess(token, local=environment in {"development", "test"})
    assert access.status("", address) == status
    if status != 200:
        assert "labeler_http" not in answer.text
        assert answer.json().keys() >= {"detail", "code", "request_id"}


async def test_requests_are_counted_by_route_and_never_by_id(api: Api) -> None:
    dataset = await api.dataset(images=1)
    owner = await api.login("owner")
    for _ in range(3):
        await owner.get(f"/api/v1/datasets/{dataset.id}")
    await owner.get("/api/v1/datasets/ds_none")
    for path in ("/nothing", "/api/v1/nothing", "/api/v1/datasets/ds_1/nothing", "/.env"):
        await owner.get(path)
    await owner.request("BREW", "/api/v1/datasets")
    route = "/api/v1/datasets/{dataset_id}"
    assert value(api, "http_requests_total", method="GET", route=route, status="200") == 3
    assert value(api, "http_requests_total", method="GET", route=route, status="404") == 1
    assert value(api, "http_request_seconds_count", method="GET", route=route) == 4
    assert value(api, "http_request_statements_sum", method="GET", route=route) >= 4
    assert value(api, "http_requests_total", method="GET", route="unmatched", status="404") == 4
    assert value(api, "http_requests_open") == 0
    text = api.services.instruments.metrics.text().decode()
    assert 'method="other"' in text
    for never in (dataset.id, "BREW", "ds_none", ".env"):
        assert never not in text


async def test_pool_gateway_and_caches_are_counted(api: Api) -> None:
    owner = await api.login("owner")
    for _ in range(4):
        assert (await owner.get("/api/v1/datasets")).status_code == 200
    assert value(api, "user_cache_lookups_total", result="miss") == 1
    assert value(api, "user_cache_lookups_total", result="hit") >= 3
    assert value(api, "gateway_calls_total", method="GetUser", code="OK") == 1
    assert value(api, "gateway_call_seconds_count", method="GetUser") == 1
    assert value(api, "db_acquire_seconds_count", database="labeler") >= 4
    assert value(api, "db_connections", database="labeler", state="max") == 11
    assert value(api, "db_connections", database="labeler", state="idle") >= 1
    assert value(api, "db_waiting", database="labeler") == 0
    async with api.db.read():
        assert value(api, "db_connections", database="labeler", state="used") == 1


async def test_object_store_calls_are_counted_by_what_came_of_them(api: Api) -> None:
    bucket = api.services.settings.s3_bucket_datasets
    await api.services.objects.put(bucket, "datasets/ds_counted/x", b"0123456789", "text/plain")
    async with api.services.objects.open(bucket, "datasets/ds_counted/x"):
        assert value(api, "object_streams_open") == 1
    assert value(api, "object_streams_open") == 0
    listed = [info.key async for info in api.services.objects.list(bucket, "datasets/ds_counted/")]
    assert listed == ["datasets/ds_counted/x"]
    await api.services.objects.delete_many(bucket, listed)
    # Of the two GETs one is of the tie: before a deletion the bucket is asked to which database it belongs.
    for operation, calls in {"put_object": 1, "get_object": 2, "list_objects_v2": 1, "delete_objects": 1}.items():
        assert value(api, "object_store_calls_total", operation=operation, result="ok") == calls
        assert value(api, "object_store_call_seconds_count", operation=operation) == calls
    with pytest.raises(NotFound):
        async with api.services.objects.open(bucket, "datasets/ds_counted/x"):
            pass
    assert value(api, "object_store_calls_total", operation="get_object", result="refused") == 1, "it is no failure"
    assert value(api, "object_store_calls_total", operation="get_object", result="error") == 0


async def test_thumbnails_are_counted(api: Api) -> None:
    cache = ByteCache(1000, api.services.instruments.metrics.thumbnail_looked_up)

    async def load() -> bytes:
        return b"x"

    for _ in range(3):
        await cache.get("one", load)
    assert value(api, "thumbnail_lookups_total", result="miss") == 1
    assert value(api, "thumbnail_lookups_total", result="hit") == 2


def test_jobs_are_counted_by_what_came_of_them() -> None:
    instruments = Instruments()
    for error in (None, ValueError("x"), asyncio.CancelledError()):
        with contextlib.suppress(ValueError, asyncio.CancelledError), instruments.job("purge"):
            if error is not None:
                raise error
    read = instruments.metrics.registry.get_sample_value
    for result in ("ok", "error", "cancelled"):
        assert read("labeler_jobs_total", {"kind": "purge", "result": result}) == 1


def test_a_worker_that_ended_keeps_its_counts_and_loses_its_gauges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    code = (
        "import os; from labeler_api.telemetry.metrics import Metrics; metrics = Metrics();"
        "metrics.request_ended('GET', '/', 200, 0.1, 1); text = metrics.text().decode();"
        "print(os.getpid()); print(text)"
    )
    for number in (1, 2, 3):
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
        pid, _, text = done.stdout.partition("\n")
        assert f'labeler_http_requests_total{{method="GET",route="/",status="200"}} {number}.0' in text
        assert set(re.findall(r'process_resident_memory_bytes{pid="(\d+)"}', text)) == {pid}
    with shared_metrics(2):
        assert list(tmp_path.iterdir()) == []  # what another run left counts for nobody
    with shared_metrics(1):
        assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ


async def test_a_gateway_that_is_away_is_seen(open_directory: OpenDirectory) -> None:
    directory = open_directory("127.0.0.1:1", GATEWAY_TOKEN)
    assert await directory.get_many([1, 2]) == {}
    registry = directory._instruments.metrics.registry
    labels = {"method": "BatchGetUsers", "code": "UNAVAILABLE"}
    assert registry.get_sample_value("labeler_gateway_calls_total", labels) == 1


def test_nothing_of_opentelemetry_is_loaded_when_it_is_off() -> None:
    code = (
        "import sys, labeler_api.app, user_gateway.server, service_kit.tracing as t;"
        "assert not t.from_environment({}, 'x').on;"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("module", ["labeler_api", "user_gateway"])
@pytest.mark.parametrize(
    "variables",
    [{"OTEL_TRACES_EXPORTER": "zipkin"}, {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}],
)
def test_an_exporter_that_is_not_there_is_refused_in_one_line(module: str, variables: dict[str, str]) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "LABELER_DB_URL": "postgresql://x@127.0.0.1:1/x",
        "USER_DB_URL": "postgresql://x@127.0.0.1:1/x",
        "USER_GATEWAY_TOKENS": f"labeler={GATEWAY_TOKEN}:users.read",
        **variables,
    }
    command = [sys.executable, "-m", module]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.returncode in {2, 78}
    assert next(iter(reversed(variables))) in done.stderr
    assert "Traceback" not in done.stderr
