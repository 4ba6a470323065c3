"""Threads for long JSON bodies, shared fairly among people.

Checking JSON is pure computing: it competes with the event loop for Python's global lock. So there are few such
threads, and one person has one of them. Only one thread checks at any moment; they alternate piece by piece
(http/input/json_pieces.py).
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from labeler_api.errors import Unavailable
from labeler_api.workers.fair_queue import FairQueue

T = TypeVar("T")

# Pieces are judged in turn, so more threads make nothing slower for the event loop, and a short body of one person
# needs not wait for the long bodies of three others.
_THREADS = 4
_WAIT_SECONDS = 15.0  # half of the time that a request may take; the longest body there may be takes some seconds
_RETRY_SECONDS = 2


class JsonThreads:
    """Runs functions in threads: one for each person, and a few in all."""

    def __init__(self, threads: int = _THREADS, wait: float = _WAIT_SECONDS) -> None:
        self._turns = FairQueue(threads, each=1)
        self._wait = wait
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="judging")

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def run(self, person: int, function: Callable[..., T], *arguments: object) -> T:
        """Call the function when it is this person's turn. Raises Unavailable when that takes too long."""
        async with self._turn(person):
            work = asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                await asyncio.wait([work])  # a thread cannot be ended: its place is taken until then
                raise

    @asynccontextmanager
    async def _turn(self, person: int) -> AsyncIterator[None]:
        turn = self._turns.turn(person)
        try:
            async with asyncio.timeout(self._wait):
                await turn.__aenter__()
        except TimeoutError:
            raise Unavailable(
                "Too many long bodies are being read. Try again shortly.",
                code="bodies_busy",
                retry_after=_RETRY_SECONDS,
            ) from None
        try:
            yield
        finally:
            await turn.__aexit__(None, None, None)
