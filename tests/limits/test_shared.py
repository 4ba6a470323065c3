"""Limits in a storage that all processes share, and what holds while it does not answer."""

import asyncio
from contextlib import AsyncExitStack
from time import monotonic

import pytest
import structlog
from limits import parse
from redis.asyncio import Redis

from labeler_api.app import open_services
from labeler_api.errors import TooMany
from labeler_api.limits.counters import LimitStorage
from labeler_api.limits.rate_limits import Limits
from labeler_api.telemetry.metrics import Metrics
from labeler_ops.stack.object_store import SeaweedServer
from tests.fixtures.api import api_settings, storage_environment
from tests.fixtures.shared_storage import SharedStorage
from tests.fixtures.timing import check_within

CLIENT, ACCOUNT = "192.0.2.1", "owner@example.com"


async def tried(limits: Limits, client: str = CLIENT, account: str = ACCOUNT) -> bool:
    """Whether a failing try was let through."""
    try:
        await limits.try_login(client, account)
    except TooMany:
        return False
    return True


async def test_two_processes_let_as_much_through_as_one(storages: list[LimitStorage]) -> None:
    first, second = map(Limits, storages)
    answers = [await tried(limits) for _ in range(4) for limits in (first, second)]
    assert answers == [True] * 5 + [False] * 3
    assert await tried(second, "192.0.2.2")
    with pytest.raises(TooMany) as caught:
        await second.try_login(CLIENT, ACCOUNT)
    assert 50 <= (caught.value.retry_after or 0) <= 60
    assert len(storages[0].memory) == len(storages[1].memory) == 0


async def test_tries_of_two_processes_side_by_side(storages: list[LimitStorage]) -> None:
    first, second = map(Limits, storages)
    answers = await asyncio.gather(*(tried(limits) for _ in range(10) for limits in (first, second)))
    assert sum(answers) == 5


async def test_a_success_and_a_try_that_was_not_judged_are_known_to_both(storages: list[LimitStorage]) -> None:
    first, second = map(Limits, storages)
    for _ in range(4):
        assert await tried(first)
    await (await second.try_login(CLIENT, ACCOUNT)).succeeded()
    for _ in range(30):
        await (await second.try_login(CLIENT, ACCOUNT)).not_judged()
    assert [await tried(limits) for limits in (first, second) * 3] == [True] * 5 + [False]


async def test_a_window_is_shared_too(storages: list[LimitStorage]) -> None:
    first, second = map(Limits, storages)
    limit = parse("3/hour")
    for limits in (first, second, first):
        await limits.hit(limit, "somebody")
    with pytest.raises(TooMany) as caught:
        await second.hit(limit, "somebody")
    assert 3500 < (caught.value.retry_after or 0) <= 3600
    await second.hit(limit, "somebody else")


async def test_nobody_waits_for_the_first_connection(shared: SharedStorage) -> None:
    """A process that has just started would count its first log-ins alone: they had to wait for more than an answer."""
    storage = LimitStorage(shared.url, metrics := Metrics())
    await storage.connect()
    made = await _connections(shared)
    assert await tried(Limits(storage))
    assert await _connections(shared) == made + 1, "its own alone"
    assert metrics.registry.get_sample_value("labeler_rate_limit_storage_failures_total") == 0
    await storage.close()


async def test_a_process_connects_when_it_starts(
    shared: SharedStorage, labeler_dsn: str, object_store: SeaweedServer
) -> None:
    variables = {**storage_environment(object_store), "RATE_LIMIT_STORAGE": shared.url}
    async with AsyncExitStack() as stack:
        await open_services(api_settings(labeler_dsn, "127.0.0.1:1", "token", variables), stack)
        assert await _clients(shared) == 2, "its own, and the one that asks"


async def test_a_storage_that_is_away_does_not_hold_up_the_start(server: SharedStorage) -> None:
    storage = LimitStorage(server.url, metrics := Metrics())
    await storage.connect()
    assert metrics.registry.get_sample_value("labeler_rate_limit_storage_failures_total") == 0
    assert await tried(Limits(storage))
    assert metrics.registry.get_sample_value("labeler_rate_limit_storage_failures_total") == 1
    await storage.close()


async def _info(shared: SharedStorage, name: str) -> int:
    async with Redis.from_url(shared.url) as client:
        return int((await client.info())[name])


async def _connections(shared: SharedStorage) -> int:
    """How many there have been, this one included."""
    return await _info(shared, "total_connections_received")


async def _clients(shared: SharedStorage) -> int:
    """How many there are, this one included."""
    return await _info(shared, "connected_clients")


@pytest.mark.parametrize("how", ["absent", "frozen", "killed"])
async def test_without_the_storage_each_process_limits_for_itself(server: SharedStorage, how: str) -> None:
    """Logging in waits for it a tenth of a second once, and not once for each question."""
    metrics = Metrics()
    storage = LimitStorage(server.url, metrics)
    limits = Limits(storage)
    if how != "absent":
        await server.start()
        assert await tried(limits, "192.0.2.9")
        server.freeze() if how == "frozen" else server.stop()
    with structlog.testing.capture_logs() as lines:
        started = monotonic()
        assert [await tried(limits) for _ in range(6)] == [True] * 5 + [False]
        check_within(monotonic() - started, 3.0, "a tenth, on a machine with nothing else to do")
        await asyncio.sleep(1.1)  # it is asked again, once a second
        assert not await tried(limits)
    warnings = [line["event"] for line in lines if line["log_level"] == "warning"]
    assert warnings == ["RATE_LIMIT_STORAGE does not answer: each process limits for itself"]
    assert metrics.registry.get_sample_value("labeler_rate_limit_storage_shared") == 0
    failures = metrics.registry.get_sample_value("labeler_rate_limit_storage_failures_total")
    assert failures is not None
    assert 1 <= failures <= 4, "and not once for each of some thirty questions"

    if how == "frozen":
        server.thaw()
    else:
        await server.start()
    with structlog.testing.capture_logs() as lines:
        async with asyncio.timeout(20):
            while metrics.registry.get_sample_value("labeler_rate_limit_storage_shared") != 1:
                await asyncio.sleep(0.1)
                await tried(limits, "192.0.2.3")
    assert "RATE_LIMIT_STORAGE answers again: the limits are shared" in [line["event"] for line in lines]
    await storage.close()
