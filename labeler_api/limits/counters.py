"""Where tries are counted: in a Redis or Valkey that all processes share, or in this process's memory.

The `limits` library brings the client of the shared storage and the form of both. Its own memory for asyncio walks over
every key, with a thread for each, whenever something is counted, and keeps as many keys as strangers care to invent; so
the one here is our own.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

import structlog
from limits.aio.storage import RedisStorage
from limits.errors import StorageError

from labeler_api.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from redis.asyncio import BlockingConnectionPool

T = TypeVar("T")

log = structlog.get_logger(__name__)

_MOST_KEYS = 50_000
"""Some 20 MB. A key is a client, an account or a person in the last hour; past it, who was seen longest ago goes."""

_WAIT_SECONDS = 0.1  # of a log-in that takes a quarter of a second; a storage of the same network answers in one ms
_ALONE_SECONDS = 1.0  # after a failure nobody waits for it again for so long
_FIRST_TRIES = 10  # a second in all, when a process starts; a storage that is away refuses at once
_CONNECTIONS = 16  # at once, of a process; each is busy for less than a millisecond
_SCHEMES = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss"}  # one protocol, one client


class Storage(Protocol):
    """What is asked of a storage, as `limits` names it. Times in seconds."""

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add to a number and return it; the first addition decides when it is forgotten."""

    async def get(self, key: str) -> int:
        """Return the number, 0 when there is none."""

    async def get_expiry(self, key: str) -> float:
        """Return the Unix time at which the number is forgotten."""

    async def clear(self, key: str) -> None:
        """Forget it now."""

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Note a moment, unless there are `limit` of them in the last `expiry` seconds."""

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Return the first moment in the last `expiry` seconds, and how many there are."""


@dataclass(slots=True)
class _Counter:
    number: int = 0
    until: float = 0.0
    moments: deque[float] = field(default_factory=deque)


class Memory:
    """Counts in this process's memory, for a limited number of keys. No method waits for anything."""

    def __init__(self, most_keys: int = _MOST_KEYS, clock: Callable[[], float] = time.time) -> None:
        self._most_keys = most_keys
        self._clock = clock
        self._kept: OrderedDict[str, _Counter] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """See `Storage`."""
        if amount < 0 and key not in self._kept:
            return 0
        kept = self._touched(key, expiry)
        kept.number = max(0, kept.number + amount)
        return kept.number

    async def get(self, key: str) -> int:
        """See `Storage`."""
        kept = self._kept.get(key)
        return kept.number if kept is not None and kept.until > self._clock() else 0

    async def get_expiry(self, key: str) -> float:
        """See `Storage`."""
        kept = self._kept.get(key)
        return kept.until if kept is not None else self._clock()

    async def clear(self, key: str) -> None:
        """See `Storage`."""
        self._kept.pop(key, None)

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """See `Storage`."""
        kept, now = self._touched(key, expiry), self._clock()
        while kept.moments and kept.moments[0] <= now - expiry:
            kept.moments.popleft()
        if len(kept.moments) + amount > limit:
            return False
        kept.moments.extend([now] * amount)
        kept.until = now + expiry
        return True

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """See `Storage`."""
        now, kept = self._clock(), self._kept.get(key)
        moments = [moment for moment in kept.moments if moment > now - expiry] if kept is not None else []
        return (moments[0] if moments else now), len(moments[:limit])

    def _touched(self, key: str, expiry: int) -> _Counter:
        """Return what is kept of a key, and make it the one seen last; the one seen longest ago is dropped."""
        now = self._clock()
        kept = self._kept.get(key)
        if kept is None or kept.until <= now:
            kept = self._kept[key] = _Counter(until=now + expiry)
        self._kept.move_to_end(key)
        while len(self._kept) > self._most_keys or next(iter(self._kept.values())).until <= now:
            self._kept.popitem(last=False)
        return kept


class LimitStorage:
    """Asks the shared storage at `url`; this process's memory where there is none, or while it does not answer.

    While the storage is away, one request a second asks it, and waits a tenth of a second for it.
    """

    def __init__(
        self,
        url: str = "",
        metrics: Metrics | None = None,
        clock: Callable[[], float] = time.time,
        wait_seconds: float = _WAIT_SECONDS,
    ) -> None:
        self.clock = clock
        self.memory = Memory(clock=clock)
        self._metrics = metrics
        self._wait_seconds = wait_seconds
        self._pool = _pool(url, wait_seconds) if url else None
        self._shared: Storage | None = _shared(url, self._pool) if self._pool is not None else None
        self._alone_until = 0.0
        self._away = False
        if metrics is not None:
            metrics.limit_storage_shared.set(self._shared is not None)

    async def ask(self, question: Callable[[Storage], Awaitable[T]]) -> T:
        """Put the question to the shared storage, or to the memory."""
        if self._shared is not None and time.monotonic() >= self._alone_until:
            try:
                async with asyncio.timeout(self._wait_seconds):
                    answer = await question(self._shared)
            except (StorageError, OSError, TimeoutError) as error:
                self._lost(error)
            else:
                self._found()
                return answer
        return await question(self.memory)

    async def connect(self) -> None:
        """Have a connection before somebody logs in: a name, a connection and a script take longer than an answer may.

        A storage that is away is left for the first log-in to notice.
        """
        if self._shared is None:
            return
        for _ in range(_FIRST_TRIES):
            try:
                async with asyncio.timeout(self._wait_seconds):
                    await self._shared.acquire_entry("start", 1, 1)
                    return
            except (StorageError, OSError, TimeoutError):
                continue

    async def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.disconnect()

    def _lost(self, error: Exception) -> None:
        self._alone_until = time.monotonic() + _ALONE_SECONDS
        if self._metrics is not None:
            self._metrics.limit_storage_failures.inc()
            self._metrics.limit_storage_shared.set(0)
        if not self._away:
            reason = f"{type(error).__name__}: {error}"[:200]
            log.warning("RATE_LIMIT_STORAGE does not answer: each process limits for itself", reason=reason)
        self._away = True

    def _found(self) -> None:
        if self._away:
            log.info("RATE_LIMIT_STORAGE answers again: the limits are shared")
            if self._metrics is not None:
                self._metrics.limit_storage_shared.set(1)
        self._away = False


def redis_url(url: str) -> str:
    """Give the address as the client knows it. Raises ValueError for what is none of Redis or Valkey."""
    scheme, separator, rest = url.partition("://")
    if scheme not in _SCHEMES or not separator or not rest:
        raise ValueError("expected redis://host:6379, rediss://…, valkey://… or valkeys://…")
    return f"{_SCHEMES[scheme]}://{rest}"


def _pool(url: str, wait_seconds: float) -> "BlockingConnectionPool":
    # Where it is asked for: the client brings OpenTelemetry along, used or not.
    from redis.asyncio import BlockingConnectionPool
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return BlockingConnectionPool.from_url(
        redis_url(url),
        max_connections=_CONNECTIONS,
        timeout=wait_seconds,
        socket_timeout=wait_seconds,
        socket_connect_timeout=wait_seconds,
        retry=Retry(NoBackoff(), 0),  # the next question tries again; this one has no time to
    )


def _shared(url: str, pool: "BlockingConnectionPool") -> RedisStorage:
    return RedisStorage(
        f"async+{redis_url(url)}",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix="labeler",
        connection_pool=pool,  # type: ignore[arg-type]  # the library names its options' types too narrowly
    )
