"""How late the event loop is: what every request waits in addition to its own work."""

import asyncio
import contextlib
import gc
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from time import monotonic, perf_counter
from typing import Any, Generic, TypeVar

T = TypeVar("T")

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
async def watched(observe: Callable[[float], None]) -> AsyncIterator[None]:
    """Tell `observe` how late the loop is, ten times a second while the block runs."""
    task = asyncio.create_task(_watch(observe), name="event loop")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _watch(observe: Callable[[float], None]) -> None:
    while True:
        began = monotonic()
        await asyncio.sleep(_EVERY_SECONDS)
        observe(max(0.0, monotonic() - began - _EVERY_SECONDS))


class StepWatch:
    """Times the steps of coroutines, from the moment in which the loop gives one its turn until it waits for something.

    `note(what, seconds)` is called for each step longer than the limit. Time that the machine took is subtracted: the
    wait for a core, time that the hypervisor stole, and the garbage collector, which looks at everybody's objects.
    """

    def __init__(self, limit_seconds: float, note: Callable[[str, float], None]) -> None:
        self._limit, self._note = limit_seconds, note
        self._queue: RunQueue | None = None
        self._collected = self._collecting_since = 0.0
        gc.callbacks.append(self._on_collection)

    async def run(self, what: str, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await the coroutine. Always in the same thread."""
        self._queue = self._queue or RunQueue()
        return await _Steps(self, what, coroutine)

    def close(self) -> None:
        """Time nothing any more."""
        with contextlib.suppress(ValueError):
            gc.callbacks.remove(self._on_collection)
        if self._queue is not None:
            self._queue.close()

    def taken(self) -> float:
        """What the machine has taken from the thread until now, without what was stolen, in seconds."""
        assert self._queue is not None  # noqa: S101 - `run` has opened it
        return self._queue.seconds() + self._collected

    def ended(self, what: str, seconds: float, stolen_before: float) -> None:
        """Judge a step that was too long by what was left to it."""
        own = seconds - (_stolen() - stolen_before)
        if own > self._limit:
            self._note(what, own)

    @property
    def limit_seconds(self) -> float:
        """How long a step may take."""
        return self._limit

    def _on_collection(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._collecting_since = perf_counter()
        else:
            self._collected += perf_counter() - self._collecting_since


class _Steps(Generic[T]):
    """Awaits a coroutine and times each of its steps."""

    def __init__(self, watch: StepWatch, what: str, coroutine: Coroutine[Any, Any, T]) -> None:
        self._watch, self._what, self._coroutine = watch, what, coroutine

    def __await__(self) -> Generator[Any, Any, T]:
        stolen = _stolen()  # at the beginning of all steps: reading it costs as much as a step
        steps = self._coroutine.__await__()
        step: Callable[[Any], Any] = steps.send
        argument: Any = None
        while True:
            taken, began = self._watch.taken(), perf_counter()
            try:
                future = step(argument)
            except StopIteration as end:
                result: T = end.value
                return result
            finally:
                seconds = perf_counter() - began
                if seconds > self._watch.limit_seconds:
                    self._watch.ended(self._what, seconds - (self._watch.taken() - taken), stolen)
            try:
                argument, step = (yield future), steps.send
            except BaseException as error:  # cancellation among them: the coroutine is told
                argument, step = error, steps.throw


def _stolen() -> float:
    """Seconds that the hypervisor gave to others, of all cores (proc(5), /proc/stat); 0 where nobody tells."""
    try:
        with open("/proc/stat", "rb") as file:  # noqa: PTH123 - a path object costs as much as the reading
            return int(file.readline().split()[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return 0.0
