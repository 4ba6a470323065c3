"""Places among the streams: one's own are waited for, everybody's are not, and none is lost."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from labeler_api.errors import TooMany, Unavailable
from labeler_api.limits import open_streams as module
from labeler_api.limits.open_streams import OpenStreams
from labeler_api.settings import load
from labeler_api.telemetry.metrics import Metrics
from tests.fixtures.timing import check_within


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAIT_SECONDS", 0.2)


def refused(metrics: Metrics, reason: str) -> float:
    return metrics.registry.get_sample_value("labeler_streams_refused_total", {"reason": reason}) or 0.0


async def test_a_person_has_so_many_and_others_have_theirs() -> None:
    metrics = Metrics()
    streams = OpenStreams(10, per_person=2, per_client=10, metrics=metrics)
    async with AsyncExitStack() as held:
        for _ in range(2):
            await held.enter_async_context(streams.place(1, "10.0.0.1"))
        with pytest.raises(TooMany) as error:
            await held.enter_async_context(streams.place(1, "10.0.0.2"))
        assert error.value.code == "too_many_streams"
        assert error.value.retry_after == 2
        await held.enter_async_context(streams.place(2, "10.0.0.1"))
        assert streams.open == 3
    assert streams.open == 0
    assert streams._people._shares == {}
    assert streams._clients._shares == {}
    assert refused(metrics, "own_taken") == 1


async def test_a_client_has_so_many_whoevers_links_it_holds() -> None:
    streams = OpenStreams(10, per_person=10, per_client=2, metrics=Metrics())
    async with AsyncExitStack() as held:
        for person in (1, 2):
            await held.enter_async_context(streams.place(person, "2001:db8::1"))
        with pytest.raises(TooMany):
            await held.enter_async_context(streams.place(3, "2001:db8::2"))  # the same customer's network
        await held.enter_async_context(streams.place(3, "2001:db8:0:1::2"))


async def test_the_last_place_is_not_waited_for() -> None:
    metrics = Metrics()
    streams = OpenStreams(1, per_person=5, per_client=5, metrics=metrics)
    async with streams.place(1, "10.0.0.1"):
        started = asyncio.get_running_loop().time()
        with pytest.raises(Unavailable) as error:
            async with streams.place(2, "10.0.0.2"):
                pass
        check_within(asyncio.get_running_loop().time() - started, 2.5)  # who waits for a place of their own has five
    assert error.value.code == "streams_busy"
    assert error.value.retry_after == 2
    assert refused(metrics, "all_taken") == 1
    async with streams.place(2, "10.0.0.2"):
        pass


async def test_more_than_ones_own_come_one_after_the_other() -> None:
    streams = OpenStreams(100, per_person=4, per_client=100, metrics=Metrics())
    most = 0

    async def look() -> None:
        nonlocal most
        async with streams.place(1, "10.0.0.1"):
            most = max(most, streams.open)
            await asyncio.sleep(0.001)

    await asyncio.gather(*(look() for _ in range(50)))
    assert most == 4
    assert streams.open == 0
    assert streams._people._shares == {}


async def test_who_leaves_while_waiting_takes_no_place_along() -> None:
    streams = OpenStreams(10, per_person=1, per_client=10, metrics=Metrics())
    async with streams.place(1, "10.0.0.1"):
        waiting = asyncio.create_task(streams.place(1, "10.0.0.1").__aenter__())
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.wait({waiting})
    async with streams.place(1, "10.0.0.1"):
        assert streams.open == 1


@pytest.mark.parametrize(("connections", "places"), [("256", 192), ("8", 6), ("2", 1), ("1", 1)])
def test_a_quarter_of_the_stores_connections_is_never_theirs(connections: str, places: int) -> None:
    settings = load({"LABELER_DB_URL": "postgresql://x@127.0.0.1:1/x", "S3_MAX_CONNECTIONS": connections})
    assert OpenStreams.of(settings, Metrics())._total == places
