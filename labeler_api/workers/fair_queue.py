"""Turns at something that only a few may do at once, shared fairly among people."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class FairQueue:
    """Gives `slots` turns at once, `each` of them to one person at most.

    A free turn goes to the waiting person who holds the fewest, and among equals to the one who was served longest
    ago: however much somebody asks for, another person waits for one turn to end, and not for a queue.
    """

    def __init__(self, slots: int, each: int) -> None:
        self._free = slots
        self._each = each
        self._held: Counter[int] = Counter()
        self._waiting: dict[int, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def turn(self, person: int) -> AsyncIterator[None]:
        """Hold a turn while the block runs."""
        await self._take(person)
        try:
            yield
        finally:
            self._give_back(person)

    async def _take(self, person: int) -> None:
        asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(person, deque()).append(asked)
        self._serve()
        try:
            await asked
        except asyncio.CancelledError:
            if asked.cancelled():
                self._forget(person, asked)
            else:  # served at the same moment
                self._give_back(person)
            raise

    def _give_back(self, person: int) -> None:
        self._free += 1
        self._held[person] -= 1
        if not self._held[person]:
            del self._held[person]
        self._serve()

    def _serve(self) -> None:
        while self._free and (person := self._next()) is not None:
            asked = self._waiting[person].popleft()
            rest = self._waiting.pop(person)
            if rest:
                self._waiting[person] = rest  # behind those who have waited
            if asked.cancelled():
                continue
            self._free -= 1
            self._held[person] += 1
            asked.set_result(None)

    def _next(self) -> int | None:
        able = [person for person in self._waiting if self._held[person] < self._each]
        return min(able, key=lambda person: self._held[person], default=None)

    def _forget(self, person: int, asked: "asyncio.Future[None]") -> None:
        waiting = self._waiting.get(person)
        if waiting is not None and asked in waiting:
            waiting.remove(asked)
            if not waiting:
                del self._waiting[person]
