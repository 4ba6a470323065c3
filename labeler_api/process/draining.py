"""The end of a process: long requests hear of it in time to answer, and are not cut off.

At SIGTERM the process says that it is not ready. It serves on for API_DRAIN_SECONDS, so that a balancer turns away.
Then the server takes no more connections, waits API_SHUTDOWN_SECONDS for what is under way, and cancels the rest.
A request that has ended is worth nothing without its answer, so long ones end a little before that, with 503.
"""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import FrameType

from labeler_api.errors import Unavailable

RETRY_SECONDS = 5  # the next process answers by then; in a rolling deployment it does already
_ANSWER_SECONDS = 3.0  # to write rows of what has come, to read on for a while, and to answer


def stopping() -> Unavailable:
    """Make the answer to a request that the end of the process cuts off."""
    return Unavailable(
        "The service is being restarted. Send the request again in a few seconds.",
        code="restarting",
        retry_after=RETRY_SECONDS,
    )


class Draining:
    """Whether this process is about to end, and when. `seconds` is how long the server waits for requests."""

    def __init__(self, seconds: float = 20.0) -> None:
        self._seconds = max(seconds - _ANSWER_SECONDS, seconds / 2)
        self._ends_at: float | None = None
        self._announced = False
        self._limits: set[asyncio.Timeout] = set()

    @property
    def begun(self) -> bool:
        """Whether the process is about to end."""
        return self._ends_at is not None

    @property
    def announced(self) -> bool:
        """Whether the process was told to end: it is not ready any more, and may serve on for a while."""
        return self._announced or self.begun

    @contextmanager
    def delayed(self, seconds: float) -> Iterator[None]:
        """Let the server hear of SIGTERM so many seconds after this object has; of a second one at once."""
        server = signal.getsignal(signal.SIGTERM)
        # In a test the application runs without a server of its own, whose handler this would be.
        if seconds == 0 or not callable(server) or threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()

        def told(number: int, frame: FrameType | None) -> None:
            if self._announced:
                server(number, frame)
                return
            self._announced = True
            loop.call_soon_threadsafe(loop.call_later, seconds, server, number, None)

        signal.signal(signal.SIGTERM, told)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, server)

    def begin(self) -> None:
        """Note that the server stops, once. To be called on the event loop."""
        if self._ends_at is None:
            self._ends_at = asyncio.get_running_loop().time() + self._seconds
            for limit in self._limits:
                limit.reschedule(self._ends_at)

    @asynccontextmanager
    async def bounded(self) -> AsyncIterator[None]:
        """End the block when the process has to. Raises Unavailable then."""
        try:
            async with asyncio.timeout_at(self._ends_at) as limit:
                self._limits.add(limit)
                try:
                    yield
                finally:
                    self._limits.discard(limit)
        except TimeoutError:
            if not limit.expired():
                raise
            raise stopping() from None
