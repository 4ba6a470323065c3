"""Room for answers: how many bytes of lists this process may hold at once, and one person of them.

A page is bounded (labeler_api/db/page_bytes.py), but a hundred of them at once are not, nor those that wait in memory
for clients that do not read. Who finds no room waits for a moment, holding nothing, and is then asked to come again.
"""

import asyncio
from collections import Counter, OrderedDict
from typing import Self

from labeler_api.db.page_bytes import PAGE_BYTES
from labeler_api.errors import TooMany, Unavailable

# A page is in memory three times while it is made: as rows, as their JSON, and joined. Sixteen are as many as there are
# connections that could read them, and 300 MB at the very worst.
_PAGES = 16
# One person reads their pages four at a time: a browser has six connections, and most pages are small.
_PAGES_OF_ONE = 4
_WAIT_SECONDS = 10.0  # a full page is made in some 0.2 s; a third of the time that a request may take
_RETRY_SECONDS = 2
# A small answer needs more memory for its objects than for its bytes; thousands of them do no harm.
_FREE_BYTES = 64 * 1024


class ReservedMemory:
    """What one answer may take, while its block lasts. Give back early what it did not need."""

    __slots__ = ("_answers", "_person", "_size")

    def __init__(self, answers: "AnswerMemory", person: int) -> None:
        self._answers, self._person, self._size = answers, person, 0

    async def __aenter__(self) -> Self:
        """Find room."""
        await self._answers.enter(self._person)
        self._size = PAGE_BYTES
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give back what is left of it."""
        self.needs(0)

    def needs(self, size: int) -> None:
        """Say how large the answer is, now that it is made."""
        size = 0 if size <= _FREE_BYTES else min(size, self._size)
        if size != self._size:
            self._answers.give_back(self._person, self._size - size)
            self._size = size


class AnswerMemory:
    """A sum of bytes, and of each person's. First come, first served, but nobody waits behind a greedy one."""

    def __init__(self, pages: int = _PAGES, pages_of_one: int = _PAGES_OF_ONE, wait: float = _WAIT_SECONDS) -> None:
        self._free = pages * PAGE_BYTES
        self._each = pages_of_one * PAGE_BYTES
        self._wait = wait
        self._held: Counter[int] = Counter()
        self._waiting: OrderedDict[asyncio.Future[None], int] = OrderedDict()

    def page(self, person: int) -> ReservedMemory:
        """Hold the room of a page while a block lasts.

        Raises TooMany for a person who holds too much, Unavailable when nobody has room.
        """
        return ReservedMemory(self, person)

    async def enter(self, person: int) -> None:
        """Take the room of a page, in turn. Raises as `page` does."""
        if not self._take(person):
            await self._wait_for(person)

    def give_back(self, person: int, size: int) -> None:
        """Take room back, and give it to those who wait."""
        self._free += size
        self._held[person] -= size
        if not self._held[person]:
            del self._held[person]
        full: set[int] = set()  # persons who hold all that one may: hundreds of their calls may wait
        for turn, waiting in list(self._waiting.items()):
            if self._free < PAGE_BYTES:
                break
            if waiting in full or turn.done():
                continue
            if self._take(waiting):
                turn.set_result(None)
                del self._waiting[turn]
            else:
                full.add(waiting)

    def _take(self, person: int) -> bool:
        if self._free < PAGE_BYTES or self._held[person] + PAGE_BYTES > self._each:
            return False
        self._free -= PAGE_BYTES
        self._held[person] += PAGE_BYTES
        return True

    async def _wait_for(self, person: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[turn] = person
        try:
            async with asyncio.timeout(self._wait):
                await turn
        except TimeoutError:
            raise self._refusal(person) from None
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was given at the very moment
                self.give_back(person, PAGE_BYTES)
            raise
        finally:
            self._waiting.pop(turn, None)

    def _refusal(self, person: int) -> TooMany | Unavailable:
        if self._held[person] + PAGE_BYTES > self._each:
            return TooMany(
                "Large answers to earlier requests of yours are still on their way. Read them first, or wait.",
                code="answers_pending",
                retry_after=_RETRY_SECONDS,
            )
        return Unavailable(
            "Too many large answers are on their way. Try again shortly.",
            code="answers_busy",
            retry_after=_RETRY_SECONDS,
        )
