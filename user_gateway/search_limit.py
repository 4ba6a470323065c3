"""Places for searches: a search may read every account, and look-ups and log-ins must not wait for it."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from user_gateway.errors import ResourceExhausted

_WAIT_SECONDS = 1.0  # a person who gets no answer within it types on
_WAITING = 64  # of one caller; more would only wait to be refused


class SearchSlots:
    """At most `size` at once, and `of_caller` of one caller, so that none of them keeps the others out."""

    def __init__(self, size: int, of_caller: int) -> None:
        self._of_caller = of_caller
        self._all = asyncio.Semaphore(size)
        self._callers: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(of_caller))
        self._waiting: defaultdict[str, int] = defaultdict(int)

    async def take(self, caller: str, seconds: float) -> Callable[[], None]:
        """Wait for a place; return what gives it back. Raises ResourceExhausted when none is free in time."""
        if self._waiting[caller] >= _WAITING:
            raise self._busy()
        self._waiting[caller] += 1
        try:
            async with asyncio.timeout(min(seconds, _WAIT_SECONDS)):
                await self._take(self._callers[caller])
        except TimeoutError:
            raise self._busy() from None
        finally:
            self._waiting[caller] -= 1
        left = False

        def leave() -> None:
            nonlocal left
            if not left:
                left = True
                self._all.release()
                self._callers[caller].release()

        return leave

    async def _take(self, own: asyncio.Semaphore) -> None:
        await own.acquire()  # first: a caller that waits here holds nothing that others need
        try:
            await self._all.acquire()
        except BaseException:
            own.release()
            raise

    def _busy(self) -> ResourceExhausted:
        return ResourceExhausted(
            "TOO_MANY_SEARCHES",
            "Too many searches are under way.",
            metadata={"places": str(self._of_caller)},
            retry_after_seconds=_WAIT_SECONDS,
        )


class SearchPlaces:
    """The places of all searches, and those among them of short ones, which no index helps."""

    def __init__(self, connections: int) -> None:
        # The rest is for look-ups and log-ins. A search takes a core of the database for a second where it finds many:
        # beside five of them on two cores, a batch of 500 users took twice as long as beside three.
        size = max(1, connections // 3)
        self._all = SearchSlots(size, max(1, size - 1))
        few = max(1, size // 2)
        self._short = SearchSlots(few, few)

    async def take(self, caller: str, seconds: float, *, short: bool) -> Callable[[], None]:
        """Wait for a place; return what gives it back. Raises ResourceExhausted when none is free in time."""
        leave_short = await self._short.take(caller, seconds) if short else None
        try:
            leave_all = await self._all.take(caller, seconds)
        except BaseException:
            if leave_short is not None:
                leave_short()
            raise

        def leave() -> None:
            leave_all()
            if leave_short is not None:
                leave_short()

        return leave
