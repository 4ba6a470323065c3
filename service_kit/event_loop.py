"""How late the event loop is: what every request waits beside its own work."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic

LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds. Twenty milliseconds are the most that one piece of work should take; more than 150 are a fault."""

_EVERY_SECONDS = 0.1  # ten callbacks a second cost nothing, and what holds the loop for long is met by one
_NANOSECONDS = 1e9


class RunQueue:
    """How long the calling thread has been ready and had no core, in seconds: the machine's delay, not the program's.

    The second field of Linux' /proc/<pid>/task/<tid>/schedstat; always 0 elsewhere.
    """

    def __init__(self) -> None:
        self._file: int | None = None
        with contextlib.suppress(OSError):
            self._file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)

    def seconds(self) -> float:
        """The sum since the thread began."""
        if self._file is None:
            return 0.0
        return int(os.pread(self._file, 100, 0).split()[1]) / _NANOSECONDS

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


@asynccontextmanager
async def watched(observe: Callable[[float], None], held: Callable[[float], None] | None = None) -> AsyncIterator[None]:
    """Tell `observe` how late the loop is, ten times a second while the block runs.

    `held` is told the same without the time in which the machine had no core for it.
    """
    task = asyncio.create_task(_watch(observe, held), name="event loop")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _watch(observe: Callable[[float], None], held: Callable[[float], None] | None) -> None:
    queue = RunQueue()
    try:
        while True:
            began, waited = monotonic(), queue.seconds()
            await asyncio.sleep(_EVERY_SECONDS)
            lag = max(0.0, monotonic() - began - _EVERY_SECONDS)
            observe(lag)
            if held is not None:
                held(lag - (queue.seconds() - waited))
    finally:
        queue.close()
