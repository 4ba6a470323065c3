"""Several of each service behind Envoy, under the frontend's load: restarted, killed and frozen."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from labeler_ops.stack.object_store import SeaweedServer
from tests.fixtures.killable_gateway import freeze, thaw
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.recount import recount
from tests.fixtures.users import UsersDatabase
from tests.replicas.fleet import APIS, GATEWAYS, Fleet, deployed
from tests.replicas.load import Failure, Load, at_work

_FROZEN_SECONDS = 20.0
_SEEN_SECONDS = 0.25  # until Envoy has seen the end of a killed process' connections, on a busy machine
_UNSEEN_SECONDS = 4.0  # until Envoy has left a frozen process: two looks of two seconds at most

pytestmark = [pytest.mark.slow, pytest.mark.destructive]


@pytest.fixture(scope="module")
async def shared_fleet(
    create_database: DatabaseFactory,
    labeler_template: str,
    clone_users: Callable[[], Awaitable[UsersDatabase]],
    object_store: SeaweedServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Fleet]:
    """Started once: each test makes a dataset of its own."""
    users = await clone_users()
    dsn = await create_database(labeler_template)
    async with deployed(dsn, users.dsn, object_store, tmp_path_factory.mktemp("replicas")) as running:
        yield running


@pytest.fixture
async def fleet(shared_fleet: Fleet) -> AsyncIterator[Fleet]:
    """All five at work."""
    yield shared_fleet
    await shared_fleet.restore()


async def test_a_rolling_restart_of_all_five_loses_no_request(fleet: Fleet) -> None:
    dataset = await fleet.api.dataset(tasks=["detection"], images=6)
    async with at_work(fleet.api, dataset, fleet.url) as load:
        for process in fleet.apis:
            await process.stop()
            await load.goes_on()
            process.launch()
            await process.ready()
            await fleet.healthy("labeler-api", APIS)
        for gateway in fleet.gateways:
            await gateway.stop()
            await load.goes_on()
            await gateway.start()
            await fleet.healthy("user-gateway", GATEWAYS)
    assert load.failures == []
    await _nothing_is_lost(fleet, load)


async def test_a_kill_harms_only_what_is_in_flight(fleet: Fleet) -> None:
    dataset = await fleet.api.dataset(tasks=["detection"], images=6)
    async with at_work(fleet.api, dataset, fleet.url) as load:
        kills = []
        for process in fleet.apis:
            began = time.monotonic()
            await process.kill()
            kills.append((began, time.monotonic() + _SEEN_SECONDS))
            await load.goes_on()
            process.launch()
            await process.ready()
            await fleet.healthy("labeler-api", APIS)
        for gateway in fleet.gateways:
            began = time.monotonic()
            await gateway.kill()
            kills.append((began, time.monotonic() + _SEEN_SECONDS))
            await load.goes_on()
            await gateway.start()
            await fleet.healthy("user-gateway", GATEWAYS)
    assert _beside(load.failures, kills) == []
    await _nothing_is_lost(fleet, load)


async def test_a_frozen_process_of_each_holds_up_nobody_for_long(fleet: Fleet) -> None:
    dataset = await fleet.api.dataset(tasks=["detection"], images=6)
    async with at_work(fleet.api, dataset, fleet.url) as load:
        frozen_at = time.monotonic()
        fleet.apis[0].pause()
        freeze(fleet.gateways[0].pid)
        await fleet.healthy("labeler-api", APIS - 1)
        await fleet.healthy("user-gateway", GATEWAYS - 1)
        await load.goes_on()
        await asyncio.sleep(frozen_at + _FROZEN_SECONDS - time.monotonic())
        thaw(fleet.gateways[0].pid)
        fleet.apis[0].resume()
        await fleet.healthy("labeler-api", APIS)
        await fleet.healthy("user-gateway", GATEWAYS)
    assert _beside(load.failures, [(frozen_at, frozen_at + _UNSEEN_SECONDS)]) == []
    await _nothing_is_lost(fleet, load)


def _beside(failures: list[Failure], times: list[tuple[float, float]]) -> list[Failure]:
    """Those that were in flight at none of these times."""
    return [
        failure
        for failure in failures
        if not any(failure.sent_at <= end and failure.ended_at >= begin for begin, end in times)
    ]


async def _nothing_is_lost(fleet: Fleet, load: Load) -> None:
    for process in fleet.apis:
        process.check_log()
    await recount(fleet.api, load.dataset, load.acknowledged)
