"""Single-flight: whoever asks for the same key at the same time waits for one and the same task."""

import asyncio
from collections.abc import Coroutine, Hashable, Sequence
from typing import Any, Generic, TypeVar

from labeler_api.errors import Unavailable

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SingleFlight(Generic[K, T]):
    """The tasks under way, by the keys that each will bring. Belongs to the event loop it is used in."""

    def __init__(self) -> None:
        self._running: dict[K, asyncio.Task[T]] = {}

    def running(self, key: K) -> asyncio.Task[T] | None:
        """Return the task that will bring this key."""
        return self._running.get(key)

    def start(self, keys: Sequence[K], work: Coroutine[Any, Any, T], name: str | None = None) -> asyncio.Task[T]:
        """Start a task that brings these keys. It goes on when the first to ask leaves: wait for it shielded."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        for key in keys:
            self._running[key] = task

        def done(_: asyncio.Task[T]) -> None:
            for key in keys:
                self._running.pop(key, None)
            if not task.cancelled():
                task.exception()  # seen here, should nobody wait any more

        task.add_done_callback(done)
        return task

    async def cancel(self) -> None:
        """End all of them."""
        tasks = set(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def results_within(timeout: float | None, tasks: set[asyncio.Task[T]]) -> list[T]:
    """Wait for tasks, at most `timeout` seconds; return what came, without what failed for want of a part."""
    if not tasks:
        return []
    done, _ = await asyncio.wait(tasks, timeout=timeout)
    return [task.result() for task in done if not task.cancelled() and not isinstance(task.exception(), Unavailable)]
