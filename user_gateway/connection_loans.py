"""Connections that go from one call to the next, without a way through the pool in between.

asyncpg's pool makes a task of every return and three coroutines of every loan: a tenth of a look-up's CPU time.
"""

import asyncio
from typing import Any

from service_kit.postgres import LivenessCheck, note_failure, throw_away


class ConnectionLoans:
    """Lends the connections of a pool of `size`, and keeps what comes back for whoever is next.

    What nobody has wanted for a while goes back into the pool, which closes it in its own time.
    """

    def __init__(self, liveness: LivenessCheck, size: int, *, release_seconds: float) -> None:
        self._liveness = liveness
        self._release_seconds = release_seconds
        self._places = asyncio.Semaphore(size)
        self._kept: list[Any] = []

    @property
    def kept(self) -> int:
        """How many connections wait here for a call."""
        return len(self._kept)

    async def take(self, seconds: float) -> Any:
        """Wait for a connection that answers. To be followed by `keep` or `give_back`. Raises TimeoutError."""
        if self._kept and not self._places.locked():
            await self._places.acquire()  # does not wait
            # The last one first, so that those that are not needed fall quiet.
            if self._liveness.answered_lately(self._kept[-1]):
                return self._kept.pop()
            self._places.release()
        async with asyncio.timeout(seconds):
            return await self._take()

    async def _take(self) -> Any:
        await self._places.acquire()
        try:
            while self._kept:
                connection = self._kept.pop()
                if self._liveness.answered_lately(connection):
                    return connection
                await self._liveness.give_back(connection, self._release_seconds)
            return await self._liveness.take()
        except BaseException:
            self._places.release()
            raise

    def keep(self, connection: Any) -> None:
        """Take back a connection that is at rest: its statement has ended."""
        self._kept.append(connection)
        self._places.release()

    async def give_back(self, connection: Any) -> bool:
        """Give a connection to the pool after a statement that failed or was cancelled.

        False: the connection was thrown away, and its statement may still run.
        """
        note_failure(connection)
        try:
            return await self._liveness.give_back(connection, self._release_seconds)
        finally:
            self._places.release()

    async def let_go(self) -> None:
        """Give the pool what has been quiet for a while. To be called from time to time."""
        quiet = [connection for connection in self._kept if not self._liveness.answered_lately(connection)]
        self._kept = [connection for connection in self._kept if connection not in quiet]
        for connection in quiet:
            await self._liveness.give_back(connection, self._release_seconds)

    def throw_away(self) -> None:
        """End what waits here, without a farewell."""
        kept, self._kept = self._kept, []
        for connection in kept:
            throw_away(connection)
