"""Processes for work on hostile input: each call has a limit of memory and of time, and ends when its caller leaves.

The pool is AnyIO's (docs/decisions/0020): a call that is cancelled has its process killed. Processes start when they
are needed first and are kept. They are started by exec, never by fork: this process has threads and a gRPC channel.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import anyio
from anyio import to_process

from labeler_api.errors import Unavailable
from labeler_api.workers import limited_process
from labeler_api.workers.fair_queue import FairQueue
from labeler_api.workers.limited_process import InputBytes, Needs, OutOfMemory
from service_kit import container

T = TypeVar("T")

_MIB = 1024 * 1024
_WALL_SECONDS = 60.0  # three times the CPU time that the kernel allows: a machine that is busy is not a bad picture
_LEAST_BYTES = 128 * _MIB  # for one call: a picture of 32 million pixels in full
_MOST_BYTES = 4096 * _MIB  # for all of them together, where there is more: nothing needs more
_IN_A_MESSAGE_BYTES = _MIB  # what is larger is read by the process itself
SHOWS_OPEN_FILES = Path("/proc/self/fd").is_dir()  # Linux; elsewhere all bytes travel
_SOON_SECONDS = 1.0  # a process that ends so soon was dead before, killed by somebody else while it was idle


class DecodingFailed(Exception):
    """The work reached a limit, or its process ended; the text says which, and ends a sentence about the input."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many calls run at once, and what each may take of memory: `large_bytes` is lent to one of them at a time."""

    processes: int
    share_bytes: int
    large_bytes: int

    @property
    def one_call_bytes(self) -> int:
        """The most that one call may take."""
        return self.share_bytes + self.large_bytes


def capacity(memory_bytes: int = 0, api_workers: int = 1) -> Capacity:
    """What the container allows this worker of the API: processes by its cores, and half of its memory for them.

    `memory_bytes` is a setting that says otherwise (for all workers together). One half of it is divided among the
    processes, the other is for the one large picture.
    """
    budget = memory_bytes or min(container.memory_bytes() // 2, _MOST_BYTES)
    half = budget // api_workers // 2
    # One more than there are cores: the last is for another person than who keeps the others busy
    # (labeler_api.workers.fair_queue).
    cores = max(1, container.cores() // api_workers)
    processes = max(1, min(cores + 1, half // _LEAST_BYTES))
    return Capacity(processes=processes, share_bytes=half // processes, large_bytes=half)


class Decoders:
    """Calls functions in processes that can be killed."""

    def __init__(self, allowed: Capacity) -> None:
        self.allowed = allowed
        self._turns = FairQueue(allowed.processes, each=max(1, allowed.processes - 1))
        self._large = FairQueue(1, each=1)
        self._limiter = anyio.CapacityLimiter(allowed.processes)
        self._started = self._running = 0

    async def run(self, person: int, function: Callable[..., T | Needs], file: IO[bytes], size: int, *rest: Any) -> T:
        """Call `function(file, memory_bytes, *rest)` in a process, when it is this person's turn.

        It must be importable, and may return Needs when `memory_bytes` is too little: it is called again then, with
        what it needs. Raises DecodingFailed when it takes too long or too much, or when its process ends, and
        Unavailable when no process can be started.
        """
        source = await _source(file, size)
        async with self._turns.turn(person):
            found = await self._call(function, source, self.allowed.share_bytes, *rest)
        if not isinstance(found, Needs):
            return found
        if found.memory_bytes > self.allowed.one_call_bytes:
            raise _too_much_memory(found.memory_bytes, self.allowed.one_call_bytes)
        async with self._large.turn(person), self._turns.turn(person):
            found = await self._call(function, source, self.allowed.one_call_bytes, *rest)
        if isinstance(found, Needs):
            raise _too_much_memory(found.memory_bytes, self.allowed.one_call_bytes)
        return found

    async def _call(
        self, function: Callable[..., T | Needs], source: InputBytes, memory_bytes: int, *rest: Any
    ) -> T | Needs:
        for _ in range(self.allowed.processes + 1):
            started = time.monotonic()
            try:
                async with self._ready(), asyncio.timeout(_WALL_SECONDS):
                    arguments = (os.getpid(), function, source, memory_bytes, *rest)
                    found: T | Needs | OutOfMemory = await to_process.run_sync(
                        limited_process.run, *arguments, cancellable=True, limiter=self._limiter
                    )
            except TimeoutError:
                raise DecodingFailed(f"it takes more than {_WALL_SECONDS:.0f} seconds to decode") from None
            except anyio.BrokenWorkerProcess:
                if time.monotonic() - started < _SOON_SECONDS:
                    continue
                raise DecodingFailed(
                    f"it takes more than {limited_process.CPU_SECONDS} seconds of computing to decode, "
                    "or its decoder crashed"
                ) from None
            if isinstance(found, OutOfMemory):
                raise DecodingFailed(f"it takes more than {memory_bytes // _MIB} MiB of memory to decode")
            return found
        raise DecodingFailed("its decoder crashed")

    @asynccontextmanager
    async def _ready(self) -> AsyncIterator[None]:
        """Have a process for the block. Starting one is not given up half-way: nobody would end it."""
        self._running += 1
        try:
            if self._running > self._started:
                self._started += 1
                await asyncio.shield(asyncio.create_task(self._start()))
            yield
        except BaseException:
            self._started = max(0, self._started - 1)
            raise
        finally:
            self._running -= 1

    async def _start(self) -> None:
        error: Exception | None = None
        for _ in range(self.allowed.processes + 1):  # each of those that are kept may have been killed meanwhile
            try:
                return await to_process.run_sync(limited_process.prepare, os.getpid(), limiter=self._limiter)
            except (OSError, anyio.BrokenWorkerProcess) as failure:
                error = failure
        raise Unavailable("No process can be started to look at pictures. Try again.", retry_after=5) from error


async def _source(file: IO[bytes], size: int) -> InputBytes:
    """Tell a process where the bytes are: few travel along, many are read from the file that is open here."""
    if size > _IN_A_MESSAGE_BYTES and SHOWS_OPEN_FILES:
        return InputBytes(None, open_file(file))
    file.seek(0)
    return InputBytes(await asyncio.to_thread(file.read) if size > _IN_A_MESSAGE_BYTES else file.read())


def open_file(file: IO[bytes]) -> str:
    """A name for a file that is open here, under which a process may open it: only where SHOWS_OPEN_FILES."""
    return f"/proc/{os.getpid()}/fd/{file.fileno()}"


def _too_much_memory(needed: int, allowed: int) -> DecodingFailed:
    return DecodingFailed(
        f"it takes {needed // _MIB} MiB of memory to decode, and {allowed // _MIB} MiB are there for one picture: "
        "make it smaller, or send it as a JPEG that is not progressive"
    )
