"""The kinds of outage: what happens to which part, and how it ends. One function each: `async with kind(fleet):`."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fixtures.api_processes import ApiProcess
from tests.fixtures.killable_gateway import freeze, thaw
from tests.outages.fleet import Fleet
from tests.outages.wire import SilentWire

Happens = Callable[[Fleet], AbstractAsyncContextManager[None]]

GAP_SECONDS = 5.0
"""How long anybody may wait for a save beyond the outage itself."""

SILENT_SECONDS = 30.0
"""The same where connections fall silent: nobody is told, so a limit of time must run out."""


@dataclass(frozen=True)
class Kind:
    """An outage: `beyond` is what it may add to its own length, and `spared` the processes that must not notice."""

    name: str
    happens: Happens
    beyond: float = GAP_SECONDS
    short: bool = True


def _wire(choose: Callable[[Fleet], SilentWire], act: Callable[[SilentWire], None]) -> Happens:
    @asynccontextmanager
    async def happens(fleet: Fleet) -> AsyncIterator[None]:
        wire = choose(fleet)
        act(wire)
        yield
        wire.speak()
        wire.delay = None

    return happens


def _cut(choose: Callable[[Fleet], SilentWire]) -> Happens:
    @asynccontextmanager
    async def happens(fleet: Fleet) -> AsyncIterator[None]:
        await choose(fleet).cut()
        yield
        await choose(fleet).restore()

    return happens


def _frozen(pid: Callable[[Fleet], int]) -> Happens:
    @asynccontextmanager
    async def happens(fleet: Fleet) -> AsyncIterator[None]:
        freeze(pid(fleet))
        try:
            yield
        finally:
            thaw(pid(fleet))

    return happens


def _flaky(share: float) -> Happens:
    @asynccontextmanager
    async def happens(fleet: Fleet) -> AsyncIterator[None]:
        fleet.flaky.failing = share
        yield
        fleet.flaky.failing = 0.0

    return happens


def _database(fleet: Fleet) -> SilentWire:
    return fleet.database_wire


def _gateway(fleet: Fleet) -> SilentWire:
    return fleet.gateway_wire


def _users(fleet: Fleet) -> SilentWire:
    return fleet.users_wire


def _store(fleet: Fleet) -> SilentWire:
    return fleet.store_wire


def _silent(wire: SilentWire) -> None:
    wire.silence(new=True)


def _forgotten(wire: SilentWire) -> None:
    wire.silence(new=False)


def _slow(wire: SilentWire) -> None:
    wire.delay = (0.045, 0.055)  # each way


@asynccontextmanager
async def _database_killed(fleet: Fleet) -> AsyncIterator[None]:
    fleet.postgres.kill()
    assert fleet.postgres.process is not None
    assert await fleet.postgres.process.ended(30)
    yield
    await fleet.postgres.start()


@asynccontextmanager
async def _store_killed(fleet: Fleet) -> AsyncIterator[None]:
    assert fleet.store.process is not None
    fleet.store.process.send(signal.SIGKILL)
    assert await fleet.store.process.ended(30)
    yield
    await fleet.store.start()


@asynccontextmanager
async def _gateway_killed(fleet: Fleet) -> AsyncIterator[None]:
    await fleet.gateway.kill()
    yield
    await fleet.gateway.start()


@asynccontextmanager
async def _process_killed(fleet: Fleet) -> AsyncIterator[None]:
    await fleet.processes[0].kill()
    yield
    await _launched(fleet.processes[0])


@asynccontextmanager
async def _process_replaced(fleet: Fleet) -> AsyncIterator[None]:
    await fleet.processes[0].stop()
    yield
    await _launched(fleet.processes[0])


async def _launched(process: ApiProcess) -> None:
    process.launch()
    await process.ready("/health")


def _log(open_log: Callable[[Path], AbstractAsyncContextManager[Path]]) -> Happens:
    """One process starts anew with a log of this kind, and gets its own back afterwards."""

    @asynccontextmanager
    async def happens(fleet: Fleet) -> AsyncIterator[None]:
        process = fleet.processes[0]
        async with open_log(process.log_path.parent) as log:
            await process.stop()
            process.launch(log=log, LOG_LEVEL="DEBUG")
            await process.ready("/health")
            yield
            await process.stop()
        await _launched(process)

    return happens


@asynccontextmanager
async def _full(_directory: Path) -> AsyncIterator[Path]:
    yield Path("/dev/full")


@asynccontextmanager
async def _stuck(directory: Path) -> AsyncIterator[Path]:
    """A pipe that somebody holds open and does not read."""
    path = directory / "stuck"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDWR)
    try:
        yield path
    finally:
        os.close(reader)
        path.unlink()


@asynccontextmanager
async def _closed(directory: Path) -> AsyncIterator[Path]:
    """A pipe whose reader has gone."""
    path = directory / "closed"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    async def leave() -> None:
        await asyncio.sleep(0.5)
        os.close(reader)

    leaving = asyncio.create_task(leave())
    try:
        yield path
    finally:
        await leaving
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def _database_pid(fleet: Fleet) -> int:
    assert fleet.postgres.process is not None
    return fleet.postgres.process.pid


def _store_pid(fleet: Fleet) -> int:
    assert fleet.store.process is not None
    return fleet.store.process.pid


KINDS = [
    Kind("database: every connection silent", _wire(_database, _silent), SILENT_SECONDS),
    Kind("database: open connections silent, new ones work", _wire(_database, _forgotten), SILENT_SECONDS),
    Kind("database: refuses connections", _cut(_database)),
    Kind("database: 100 ms further away", _wire(_database, _slow), short=False),
    Kind("database: killed and started", _database_killed),
    Kind("database: frozen", _frozen(_database_pid), SILENT_SECONDS, short=False),
    Kind("gateway: silent", _wire(_gateway, _silent)),
    Kind("gateway: refuses connections", _cut(_gateway), short=False),
    Kind("gateway: killed and started", _gateway_killed),
    Kind("gateway: frozen", _frozen(lambda fleet: fleet.gateway.pid), short=False),
    Kind("gateway: 100 ms further away", _wire(_gateway, _slow), short=False),
    Kind("user database: every connection silent", _wire(_users, _silent)),
    Kind("user database: open connections silent, new ones work", _wire(_users, _forgotten), short=False),
    Kind("user database: refuses connections", _cut(_users), short=False),
    Kind("user database: 100 ms further away", _wire(_users, _slow), short=False),
    Kind("store: silent", _wire(_store, _silent), SILENT_SECONDS, short=False),
    Kind("store: open connections silent, new ones work", _wire(_store, _forgotten), SILENT_SECONDS),
    Kind("store: refuses connections", _cut(_store), short=False),
    Kind("store: killed and started", _store_killed),
    Kind("store: frozen", _frozen(_store_pid), SILENT_SECONDS, short=False),
    Kind("store: 1 of 20 requests fails", _flaky(0.05)),
    Kind("store: 1 of 5 requests fails", _flaky(0.2)),
    Kind("store: 100 ms further away", _wire(_store, _slow), short=False),
    Kind("API: one process frozen", _frozen(lambda fleet: fleet.processes[0].pid), SILENT_SECONDS),
    Kind("API: one process killed and started", _process_killed),
    Kind("API: one process replaced by a deployment", _process_replaced),
    Kind("log: its disk is full", _log(_full)),
    Kind("log: nobody reads the pipe", _log(_stuck)),
    Kind("log: the pipe is closed", _log(_closed)),
]
