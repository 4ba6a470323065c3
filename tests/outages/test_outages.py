"""Each kind of outage while twelve people work: nothing acknowledged is lost, and everybody goes on soon after it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from labeler_ops.database.upgrade import upgrade
from labeler_ops.stack.object_store import PORT_COUNT, SeaweedServer
from labeler_ops.stack.ports import free_port, free_ports
from labeler_ops.stack.postgres import PostgresServer
from tests.fixtures.recount import recount
from tests.fixtures.timing import check_within
from tests.fixtures.users import UsersDatabase
from tests.outages.fleet import Fleet, deployed, figures
from tests.outages.kinds import KINDS, Kind
from tests.outages.people import Crew, at_work

SECONDS, TABLE = figures()
_RUN_IN_SECONDS = 1.0


@pytest.fixture(scope="module")
async def shared_fleet(
    postgres: PostgresServer,
    clone_users: Callable[[], Awaitable[UsersDatabase]],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Fleet]:
    """Servers of these tests' own: they are killed, frozen and cut off."""
    directory = tmp_path_factory.mktemp("outages")
    users = await clone_users()
    store = SeaweedServer(directory / "store", free_ports(PORT_COUNT), "test-access-key", "test-secret-key")
    await store.start()
    # It writes to the disk before it says so, as in production: it is killed here.
    durable = PostgresServer(postgres.install, directory / "database", free_port())
    await durable.initialise()
    await durable.start()
    dsn = durable.dsn("postgres")
    await upgrade(dsn)
    async with deployed(durable, dsn, users.dsn, store, free_port(), directory) as running:
        yield running
    await durable.stop()
    await store.stop()


@pytest.fixture
async def fleet(shared_fleet: Fleet) -> AsyncIterator[Fleet]:
    yield shared_fleet
    await shared_fleet.close_clients()


@pytest.mark.slow
@pytest.mark.destructive
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.short or TABLE], ids=lambda kind: kind.name)
async def test_an_outage(fleet: Fleet, kind: Kind) -> None:
    dataset = await fleet.api.dataset(tasks=["detection"], images=12)
    async with at_work(fleet.clients(), dataset) as crew:
        await crew.everybody(time.monotonic(), 30)
        await asyncio.sleep(_RUN_IN_SECONDS)
        async with kind.happens(fleet):
            began = time.monotonic()
            await asyncio.sleep(SECONDS)
        ended = time.monotonic()
        await crew.everybody(ended, kind.beyond + 10)
        await asyncio.sleep(_RUN_IN_SECONDS)
    gap, recovered = crew.longest_gap(), crew.recovered_after(ended)
    _note(kind, crew, ended - began, gap, recovered)
    await recount(fleet.api, dataset, crew.acknowledged)
    for process in fleet.processes:
        assert "unexpected error" not in process.log, process.log[-6000:]
    check_within(gap, ended - began + kind.beyond, "somebody had nothing acknowledged")


def _note(kind: Kind, crew: Crew, lasted: float, gap: float, recovered: float) -> None:
    """Add a line to the table of `make outages`."""
    if TABLE is None:
        return
    met = crew.acknowledged.statuses
    line = {
        "kind": kind.name,
        "seconds": round(lasted, 1),
        "calls": met.total(),
        "failed": met.total() - met["200"] - met["201"],
        "saved": len(crew.acknowledged.saves),
        "gap_seconds": round(gap, 1),
        "recovery_seconds": round(recovered, 1),
    }
    with TABLE.open("a") as table:
        table.write(json.dumps(line) + "\n")
