"""The end of a process: long requests hear of it in time to answer, and are not cut off.

The server stops taking connections at SIGTERM, waits API_SHUTDOWN_SECONDS for what is under way, and then cancels it.
A request that has ended is worth nothing without its answer, so long ones end a little before that, with 503.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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
        self._limits: set[asyncio.Timeout] = set()

    @property
    def begun(self) -> bool:
        """Whether the process is about to end."""
        return self._ends_at is not None

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
