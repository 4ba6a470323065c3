"""Several gateway processes on one port: this one starts them, looks after them and answers for them over HTTP.

Each worker binds the port itself (SO_REUSEPORT), and the kernel gives every new connection to one of them. Each has its
own pool, proves its role and reads the catalog for itself. They share the places for password checks, and their metrics
are added up here. A worker that ends or falls silent is replaced; the others go on.
"""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import structlog
import uvloop

from service_kit.metrics import text_of_workers
from service_kit.settings import EXIT_CONFIGURATION
from user_gateway import logs
from user_gateway.address import bound_host, taken
from user_gateway.http_health import HttpHealth
from user_gateway.ready import announce
from user_gateway.settings import Settings
from user_gateway.worker import REPORT_SECONDS, Report

log = structlog.get_logger(__name__)

_START_SECONDS = 60.0  # to import gRPC and to look for the User DB, on a busy machine
_SILENT_SECONDS = 15.0  # a worker reports every second; what holds it for so long does not end by itself
_AGAIN_SECONDS = 1.0  # between the end of a worker and the start of the next one
_STOP_SECONDS = 15.0  # on top of draining and grace: for the pool, the traces and the log
_LAST_LINES_SECONDS = 2.0


def supervise(settings: Settings) -> int:
    """Run the workers until SIGTERM or SIGINT. Raises SettingsError where they cannot share a port."""
    lines = logs.configure(settings.variables.log_level)
    try:
        return uvloop.run(_Supervisor(settings).run())
    finally:
        lines.close(_LAST_LINES_SECONDS)


@contextmanager
def reserved(host: str, port: int) -> Iterator[int]:
    """Keep the port for the workers while the block runs; yield its number. Nobody connects here: it does not listen.

    Raises SettingsError where somebody else has it, or where ports cannot be shared.
    """
    host = bound_host(host)
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with _bound(family, kind, address):  # alone: another gateway would share its connections without a word
            pass
        with _bound(family, kind, address, shared=True) as holder:
            yield int(holder.getsockname()[1])
    except OSError:
        raise taken(host, port) from None


@contextmanager
def _bound(family: int, kind: int, address: tuple[Any, ...], *, shared: bool = False) -> Iterator[socket.socket]:
    with socket.socket(family, kind) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of a run before may linger
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind(address)
        yield bound


class _Worker:
    """A process, and its last report."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.report: Report | None = None
        self._ticks = 0

    async def ended(self, ready: asyncio.Event) -> int:
        """Follow its reports; return its exit code."""
        assert self.process.stdout is not None  # noqa: S101 - it is a pipe
        async for line in self.process.stdout:
            with suppress(msgspec.DecodeError):
                self.report = msgspec.json.decode(line, type=Report)
                self._ticks = 0
                ready.set()
        return await self.process.wait()

    def tick(self) -> None:
        """Note that time has passed; end a process that says nothing.

        Ticks are counted, and not seconds: a machine that was suspended wakes everybody up at once.
        """
        self._ticks += 1
        limit = _START_SECONDS if self.report is None else _SILENT_SECONDS
        if self._ticks * REPORT_SECONDS > limit and self.process.returncode is None:
            log.error("a worker does not answer", pid=self.process.pid, seconds=limit)
            self.process.kill()
            self._ticks = 0


class _Supervisor:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._number = settings.variables.user_gateway_workers
        self._workers: dict[int, _Worker] = {}
        self._keeping: set[asyncio.Task[None]] = set()
        self._ready = [asyncio.Event() for _ in range(self._number)]
        self._stop = asyncio.Event()
        self._exit_code = 0
        self._http = HttpHealth(self._status, text_of_workers, settings.metrics_access)

    async def run(self) -> int:
        variables = self._settings.variables
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(logs.unretrieved)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        with (
            reserved(variables.user_gateway_host, variables.user_gateway_port) as port,
            tempfile.TemporaryDirectory(prefix="user-gateway-") as directory,
        ):
            health_port = None if variables.port is None else await self._http.start(variables.port)
            try:
                async with asyncio.TaskGroup() as group:
                    ticking = group.create_task(self._tick(), name="ticks")
                    group.create_task(self._start_all(group, port, directory, health_port), name="start")
                    await self._stop.wait()
                    await self._end_all()
                    ticking.cancel()
            finally:
                for worker in self._workers.values():
                    with suppress(ProcessLookupError):
                        worker.process.kill()
                await self._http.stop()
        return self._exit_code

    async def _start_all(self, group: asyncio.TaskGroup, port: int, directory: str, health_port: int | None) -> None:
        """Start one worker, and the others when that one serves: so an error is reported once."""
        for number in range(self._number):
            self._keeping.add(group.create_task(self._keep(number, port, directory), name=f"worker {number}"))
            if number == 0 and not await self._until(self._ready[0]):
                return
        for ready in self._ready:
            if not await self._until(ready):
                return
        log.info("the workers are listening", port=port, health_port=health_port, workers=self._number)
        announce(self._settings, port, health_port)

    async def _keep(self, number: int, port: int, directory: str) -> None:
        """Run the worker of this number, and another one when it has ended."""
        while not self._stop.is_set():
            worker = self._workers[number] = _Worker(await self._started(port, directory))
            if self._stop.is_set():  # meanwhile; the others have been told
                worker.process.send_signal(signal.SIGTERM)
            code = await worker.ended(self._ready[number])
            del self._workers[number]
            if self._stop.is_set():
                return
            if code == EXIT_CONFIGURATION and not self._ready[number].is_set():
                self._exit_code = code  # the worker has said why
                self._stop.set()
                return
            log.error("a worker has ended and is replaced", pid=worker.process.pid, exit_code=code)
            await _either(self._stop, _AGAIN_SECONDS)

    async def _started(self, port: int, directory: str) -> asyncio.subprocess.Process:
        environment = {**os.environ, "USER_GATEWAY_PORT": str(port)}
        environment.pop("PORT", None)  # HTTP is answered here, for all
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "user_gateway.worker",
            directory,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )

    async def _end_all(self) -> None:
        """Have every worker drain and end; end for good what takes longer than it may."""
        variables = self._settings.variables
        patience = self._settings.drain_seconds + variables.user_gateway_grace_seconds + _STOP_SECONDS
        for worker in self._workers.values():
            with suppress(ProcessLookupError):
                worker.process.send_signal(signal.SIGTERM)
        if self._keeping:
            await asyncio.wait(self._keeping, timeout=patience)
        for worker in self._workers.values():
            log.error("a worker does not end", pid=worker.process.pid, seconds=patience)
            with suppress(ProcessLookupError):
                worker.process.kill()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            for worker in self._workers.values():
                worker.tick()

    async def _until(self, ready: asyncio.Event) -> bool:
        """Wait for a worker; False where everything stops before."""
        waits = {asyncio.ensure_future(event.wait()) for event in (ready, self._stop)}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return not self._stop.is_set()

    def _status(self) -> tuple[bool, bool]:
        """Whether all that take calls answer them: the kernel gives connections to any of them."""
        reports = [worker.report for worker in self._workers.values() if worker.report is not None]
        serving = bool(reports) and not self._stop.is_set() and all(report.serving for report in reports)
        return serving, all(report.log_ins for report in reports)


async def _either(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
