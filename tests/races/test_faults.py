"""The network behind the API gets slow or breaks: how long callers wait, and what they are told.

Bounds are on what the fault adds to the time that the same calls took right before it: the machine may be busy.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from labeler_api.app import create_app, open_services
from tests.fixtures.annotating import box, check_counters, create_annotation
from tests.fixtures.api import Api, api_settings
from tests.fixtures.api_processes import ApiProcess, Cluster
from tests.fixtures.datasets import Dataset
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.timing import check_within
from tests.fixtures.wire import Wire

_DELAY = (0.025, 0.075)  # each way: 100 ms ± 50 for a statement


@dataclass
class Wired:
    """A process whose ways to the database and to the gateway are wires of the test."""

    cluster: Cluster
    database: Wire
    gateway: Wire


@pytest.fixture(scope="module")
async def wired(
    create_database: DatabaseFactory,
    labeler_template: str,
    variables: Mapping[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Wired]:
    labeler_dsn = await create_database(labeler_template)
    parts = urlsplit(labeler_dsn)
    gateway_port = int(variables["USER_GATEWAY_ADDRESS"].rpartition(":")[2])
    settings = api_settings(labeler_dsn, variables["USER_GATEWAY_ADDRESS"], variables["USER_GATEWAY_TOKEN"], variables)
    async with AsyncExitStack() as stack:
        services = await open_services(settings, stack)
        database = await stack.enter_async_context(Wire(parts.port or 0))
        gateway = await stack.enter_async_context(Wire(gateway_port))
        login = parts.netloc.rpartition("@")[0]
        behind = {
            "LABELER_DB_URL": parts._replace(netloc=f"{login}@127.0.0.1:{database.port}").geturl(),
            "USER_GATEWAY_ADDRESS": f"127.0.0.1:{gateway.port}",
            "USER_CACHE_SECONDS": "0.2",
            "DB_POOL_SIZE": "5",  # as many as a page asks for at once: none has to be opened on the slow wire
        }
        process = ApiProcess({**variables, **behind}, tmp_path_factory.mktemp("wired") / "api.log")
        stack.push_async_callback(process.stop)
        process.launch()
        await process.ready()
        cluster = Cluster(Api(create_app(settings, services), services), [process])
        stack.push_async_callback(cluster.close_clients)
        yield Wired(cluster, database, gateway)
    cluster.check_logs()
    await create_database.drop(labeler_dsn)


async def timed(client: httpx.AsyncClient, method: str, path: str, **options: Any) -> tuple[int, float]:
    """The status and the seconds of a request."""
    started = time.monotonic()
    answer = await client.request(method, path, **options)
    assert answer.status_code != 500, answer.text
    if answer.status_code == 503:
        assert int(answer.headers["Retry-After"]) >= 1
    return answer.status_code, time.monotonic() - started


def p95(answers: list[tuple[int, float]]) -> float:
    return sorted(seconds for _, seconds in answers)[int(len(answers) * 0.95)]


def longest(answers: list[tuple[int, float]]) -> float:
    return max(seconds for _, seconds in answers)


async def reading(client: httpx.AsyncClient, dataset: Dataset) -> list[tuple[int, float]]:
    """What a page asks for, five at a time, eight times."""
    paths = [
        f"/api/v1/annotations/project/{dataset.project_id}",
        f"/api/v1/projects/{dataset.project_id}/images/status",
        f"/api/v1/image-locks/{dataset.project_id}",
        f"/api/v1/projects/{dataset.project_id}",
        f"/api/v1/projects/{dataset.project_id}/stats",
    ]
    return [one for _ in range(8) for one in await asyncio.gather(*(timed(client, "GET", path) for path in paths))]


@pytest.mark.slow
async def test_a_slow_way_to_the_database(wired: Wired) -> None:
    dataset = await wired.cluster.api.dataset(tasks=["detection"], images=2)
    client = wired.cluster.client("owner")
    await reading(client, dataset)
    for _ in range(5):
        await create_annotation(client, box(dataset))
    before = await reading(client, dataset)
    wired.database.delay = _DELAY
    # Only a slow database has all five connections at work at once: each prepares here what it has not run yet, which
    # is one more trip a statement. Prepared statements are there afterwards, as on any day.
    unprepared = await reading(client, dataset)
    answers = await reading(client, dataset)
    assert {status for status, _ in unprepared + answers} == {200}
    check_within(p95(answers), 0.6 + p95(before))
    check_within(longest(unprepared), 1.5 + longest(before))
    saves = [await timed(client, "POST", "/api/v1/annotations", json=box(dataset)) for _ in range(4)]
    assert {status for status, _ in saves} == {200}
    check_within(longest(saves), 1.5 + p95(before))  # nine trips there and back
    wired.database.delay = None
    await check_counters(wired.cluster.api, dataset)


@pytest.mark.slow
async def test_a_database_that_is_not_there_for_a_while(wired: Wired) -> None:
    """503 at once, and work goes on as soon as it is back: no connection of before is in anybody's way."""
    dataset = await wired.cluster.api.dataset(tasks=["detection"], images=2)
    client = wired.cluster.client("owner")
    before = await reading(client, dataset)
    under_way = [asyncio.create_task(timed(client, "POST", "/api/v1/annotations", json=box(dataset))) for _ in range(5)]
    await wired.database.cut()
    answers = [*await asyncio.gather(*under_way), *await reading(client, dataset)]
    answers += [await timed(client, "POST", "/api/v1/annotations", json=box(dataset)) for _ in range(5)]
    assert {status for status, _ in answers} <= {200, 503}
    assert {status for status, _ in answers[5:]} == {503}
    check_within(longest(answers), 2.0 + longest(before))
    await wired.database.restore()
    back = time.monotonic()
    while (await timed(client, "POST", "/api/v1/annotations", json=box(dataset)))[0] != 200:
        check_within(time.monotonic() - back, 5.0)
        await asyncio.sleep(0.05)
    assert {status for status, _ in await reading(client, dataset)} == {200}
    await check_counters(wired.cluster.api, dataset)


@pytest.mark.slow
async def test_a_gateway_that_is_not_there_for_a_while(wired: Wired) -> None:
    """Whoever was seen goes on, no request takes a second longer; who was not seen is told to come back."""
    dataset = await wired.cluster.api.dataset(tasks=["detection"], images=2, members={"annotator": "annotator"})
    client, stranger = wired.cluster.client("owner"), wired.cluster.client("annotator")
    before = await reading(client, dataset)
    await wired.gateway.cut()
    await asyncio.sleep(0.25)  # what the cache believes is over; the grace is not
    answers = await reading(client, dataset)
    answers += [await timed(client, "POST", "/api/v1/annotations", json=box(dataset)) for _ in range(5)]
    assert {status for status, _ in answers} == {200}
    check_within(longest(answers), 1.0 + longest(before))
    refused = [await timed(stranger, "GET", f"/api/v1/projects/{dataset.project_id}") for _ in range(5)]
    assert {status for status, _ in refused} == {503}
    check_within(longest(refused), 2.0 + longest(before))
    await wired.gateway.restore()
    back = time.monotonic()
    while (await timed(stranger, "GET", f"/api/v1/projects/{dataset.project_id}"))[0] != 200:
        check_within(time.monotonic() - back, 5.0)
        await asyncio.sleep(0.05)
