"""Who may hold how many of the pool's connections at once, and how the others wait: in turn, and without one.

A connection takes a place in each of these shares, in this order. They are named as in the metrics:

- to read: person_reads, person, everybody;
- to change: person_changes, person, project, changes, everybody;
- for long work (exports, publications, imports, deletions): person_long, person, project, long, changes, everybody.

So one person, or one project in which everybody waits for a lock, never takes the connections that others need. Reading
never waits for writing. The health calls have a connection of their own.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from time import monotonic

from labeler_api.errors import AppError, TooMany, Unavailable
from labeler_api.telemetry.metrics import Metrics

_RETRY_SECONDS = 2
_LONG_RETRY_SECONDS = 10  # most exports take less
# Of one person, behind what they have under way. Fifty tabs with four calls each are less; a loop that never waits for
# an answer is more.
_MOST_WAITING = 256
_MOST_NAMES = 10_000  # of projects by their dataset; some hundred bytes each

_FROM_THIS_SIZE = 4  # smaller pools have nothing to set aside


class ConnectionPurpose(Enum):
    """What a connection is wanted for."""

    READ = "read"
    WRITE = "write"
    LONG = "long"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Connections at once; docs/architecture.md shows the sum."""

    everybody: int
    changing: int
    long: int
    person: int
    person_reads: int
    person_changes: int
    person_long: int
    project: int

    @classmethod
    def of(cls, pool: int) -> "Sizes":
        """Share out a pool."""
        spare = pool >= _FROM_THIS_SIZE
        everybody = pool - 1 if spare else pool  # one for the health calls
        changing = everybody - max(1, pool // 5) if spare else max(1, pool - 1)  # a fifth is left to reading
        long = max(1, (pool - 1) // 4)  # less than a third: each is held for minutes
        several = min(2, everybody)  # one that waits for a lock must not keep a person's other work waiting
        return cls(
            everybody=everybody,
            changing=changing,
            long=long,
            person=max(several, everybody - max(1, everybody // 5)),
            person_reads=max(several, everybody // 2 + 1),  # a page of the frontend asks for some five things at once
            person_changes=max(min(2, changing), changing // 3),
            person_long=max(min(2, long), long - 1),
            project=max(min(2, changing), changing // 2),
        )


class Gate:
    """So many at once; the others in the order in which they came."""

    __slots__ = ("_free", "_size", "_waiting")

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def unused(self) -> bool:
        """Whether nobody is inside, and nobody waits."""
        return self._free == self._size and not self._waiting

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def try_enter(self) -> bool:
        """Enter where that needs no waiting."""
        if self._free > 0 and not self._waiting:
            self._free -= 1
            return True
        return False

    async def enter(self, until: float) -> bool:
        """Wait for a place; False when there was none `until` then."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(until - monotonic()):
                await waiter
        except TimeoutError:
            return not self._forget(waiter)
        except asyncio.CancelledError:
            if not self._forget(waiter):
                self.leave()
            raise
        return True

    def leave(self) -> None:
        """Give the place to the caller that has waited longest."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1

    def _forget(self, waiter: "asyncio.Future[None]") -> bool:
        """Take a waiter out of the queue; False when its place came at the last moment."""
        with suppress(ValueError):
            self._waiting.remove(waiter)
        return waiter.cancelled()


class Share:
    """A number of connections for each of those who are told apart by a key."""

    def __init__(self, name: str, size: int, refusal: Callable[[], AppError], metrics: Metrics) -> None:
        self.name = name
        self._size = size
        self._refusal = refusal
        self._gates: dict[str, Gate] = {}
        self._waiting = metrics.share_waiting.labels(name)
        self._refused = metrics.share_refused.labels(name)

    def try_enter(self, key: str) -> bool:
        """Enter where that needs no waiting."""
        gate = self._gates.get(key)
        if gate is None:
            gate = self._gates[key] = Gate(self._size)
        return gate.try_enter()

    async def enter(self, key: str, until: float) -> None:
        """Enter, in turn. Raises what the share answers when too many wait, or when the time is over."""
        if self.try_enter(key):
            return
        gate = self._gates[key]
        if gate.waiting >= _MOST_WAITING and key:
            self._refused.inc()
            raise self._refusal()
        self._waiting.inc()
        try:
            if not await gate.enter(until):
                self._refused.inc()
                raise self._refusal()
        finally:
            self._waiting.dec()
            self._drop(key, gate)

    def leave(self, key: str) -> None:
        """Give the place to the caller that has waited longest."""
        gate = self._gates[key]
        gate.leave()
        self._drop(key, gate)

    def _drop(self, key: str, gate: Gate) -> None:
        if key and gate.unused:
            self._gates.pop(key, None)


class Permit:
    """The places that one connection is held in. Given back once, however often `leave` is called."""

    __slots__ = ("_places",)

    def __init__(self, places: "list[tuple[Share, str]] | None" = None) -> None:
        self._places = places or []

    def note(self, share: Share, key: str) -> None:
        """Remember a place."""
        self._places.append((share, key))

    def holds(self, share: Share) -> bool:
        """Whether a place of this share is among them."""
        return any(held is share for held, _ in self._places)

    def leave(self) -> None:
        """Give all places back."""
        while self._places:
            share, key = self._places.pop()
            share.leave(key)


class Admission:
    """The shares of one pool."""

    def __init__(self, pool_size: int, metrics: Metrics) -> None:
        sizes = Sizes.of(pool_size)
        self._names: dict[str, str] = {}
        self._everybody = Share("everybody", sizes.everybody, _busy, metrics)
        self._changing = Share("changes", sizes.changing, _busy, metrics)
        self._long = Share("long", sizes.long, _long_busy, metrics)
        self._projects = Share("project", sizes.project, _project_busy, metrics)
        self._person = Share("person", sizes.person, _person_busy, metrics)
        self._of_person = {
            ConnectionPurpose.READ: Share("person_reads", sizes.person_reads, _person_busy, metrics),
            ConnectionPurpose.WRITE: Share("person_changes", sizes.person_changes, _person_busy, metrics),
            ConnectionPurpose.LONG: Share("person_long", sizes.person_long, _long_busy, metrics),
        }

    async def admit(self, work: ConnectionPurpose, person: str, project: str, until: float) -> Permit:
        """Wait for a place in every share that this needs; "" is nobody, or no project.

        Raises TooMany and Unavailable with Retry-After.
        """
        admitted = Permit()
        try:
            for share, key in self._wanted(work, person, project):
                if not share.try_enter(key):
                    await share.enter(key, until)
                admitted.note(share, key)
        except BaseException:
            admitted.leave()
            raise
        return admitted

    def admit_at_once(self, work: ConnectionPurpose, person: str, project: str) -> Permit | None:
        """Give a place in every share that this needs, where none has to be waited for; else None."""
        wanted = self._wanted(work, person, project)
        for number, (share, key) in enumerate(wanted):
            if not share.try_enter(key):
                Permit(wanted[:number]).leave()
                return None
        return Permit(wanted)

    def join(self, admitted: Permit, project: str) -> bool:
        """Take a place in a project for a connection that is held already; False where that needs waiting.

        Who has a place in one project, and changes a second one in the same transaction, waits for its rows alone.
        """
        if admitted.holds(self._projects):
            return True
        key = self._names.get(project, project)
        if not self._projects.try_enter(key):
            return False
        admitted.note(self._projects, key)
        return True

    def alias_dataset(self, dataset_id: str, project_id: str) -> None:
        """Let the dataset's id stand for its project, too."""
        if dataset_id not in self._names:
            if len(self._names) >= _MOST_NAMES:
                self._names.pop(next(iter(self._names)))
            self._names[dataset_id] = project_id

    def _wanted(self, work: ConnectionPurpose, person: str, project: str) -> list[tuple[Share, str]]:
        """The shares to enter, the narrowest first: who waits for one holds no place in those that others use, too."""
        wanted = [(self._of_person[work], person), (self._person, person)] if person else []
        if work is not ConnectionPurpose.READ:
            if project:
                wanted.append((self._projects, self._names.get(project, project)))
            if work is ConnectionPurpose.LONG:
                wanted.append((self._long, ""))
            wanted.append((self._changing, ""))
        wanted.append((self._everybody, ""))
        return wanted


def _busy() -> Unavailable:
    return Unavailable(
        "The database has no free connection. Try again shortly.", code="database_busy", retry_after=_RETRY_SECONDS
    )


def _long_busy() -> Unavailable:
    return Unavailable(
        "As many exports, publications, imports and deletions are running as may run at once. "
        "Try again when one of them is done.",
        code="long_work_busy",
        retry_after=_LONG_RETRY_SECONDS,
    )


def _project_busy() -> Unavailable:
    return Unavailable(
        "Others are changing this project, and it took too long until it was your turn. Try again shortly.",
        code="project_busy",
        retry_after=_RETRY_SECONDS,
    )


def _person_busy() -> TooMany:
    return TooMany(
        "You have too many calls under way at once. Wait for their answers, then try again.",
        code="too_many_at_once",
        retry_after=_RETRY_SECONDS,
    )
