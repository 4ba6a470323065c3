"""Every connection of this process: how many there may be, and how long each may keep the server waiting.

One look a second goes over all of them, which costs less than timers of their own. What a client is given is counted
in looks: while the event loop itself stands still, nobody's time runs.
"""

import asyncio
import contextlib
import resource
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import structlog

from labeler_api.limits.client_addresses import client_of, read_address, read_network
from labeler_api.settings import Settings
from labeler_api.telemetry.metrics import Metrics

STATE = "connections"
"""The name under which the lifespan hands the `Connections` to the server."""

_LOOK_SECONDS = 1.0
_OTHER_FILES = 192  # databases, gateway, metrics, logs, temporary files of uploads, and room
_REMEMBERED_PEERS = 1024  # an edge has some dozens; a client without an edge pays the look-up once
_FEWEST = 64  # a machine with so few files gets them in spite of all that
_REFUSED_AT_ONCE = 256  # so many are told why; of a flood beyond that each would cost another second of memory

log = structlog.get_logger("labeler_api.connections")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one connection may do. Seconds are looks of `Connections`."""

    header_bytes: int = 64 * 1024  # request line and fields; a browser with many cookies sends some 8 KiB
    fields: int = 100  # what Apache and hyper allow; browsers send some twenty
    header_seconds: int = 10  # browsers send a header in one packet; Chrome closes unused connections after 10 s too
    # 1 KiB/s, and half a minute without anything in a tunnel. The worst line that anybody uploads over (GPRS) carries
    # twice as much; Apache's mod_reqtimeout ends below 0.5 KB/s.
    window_seconds: int = 30
    body_bytes: int = 32 * 1024
    # 4 KiB/s. An image takes minutes on such a line and nobody works over it; 3G has ten times as much.
    answer_bytes: int = 128 * 1024
    rest_seconds: int = 10  # of a body that was answered before its end: browsers see an answer only after sending
    leaving_seconds: int = 2  # between the answer to what is refused and the end of the connection
    pipelined: int = 8  # browsers send none; each that waits has its header in memory
    # Framing of chunks, beside half of their content: extensions, trailers, chunks of a byte, which cost a call each.
    framing_bytes: int = 16 * 1024


class Watched(Protocol):
    """A connection as `Connections` sees it."""

    def look(self) -> None:
        """Do what a passed second asks for."""

    def abort(self) -> None:
        """End at once, unsent bytes and all."""


class Connections:
    """Admits connections and looks at each once a second.

    A connection counts for its address, unless that is a proxy's whose `X-Forwarded-For` is believed: everybody comes
    through it. An IPv6 client has a whole /64 and counts as one.
    """

    def __init__(
        self,
        bounds: Bounds | None = None,
        *,
        total: int = 4096,
        per_client: int = 1024,
        trusted: str = "",
        metrics: Metrics | None = None,
    ) -> None:
        self.bounds = bounds or Bounds()
        self._total, self._per_client = total, per_client
        self._proxies = Proxies(trusted)
        self._metrics = metrics or Metrics()
        self._open: dict[Watched, str] = {}
        self._of_client: Counter[str] = Counter()
        self._refused: set[Watched] = set()
        self.on_shutdown: Callable[[], None] = lambda: None
        self._metrics.watch(lambda: self._metrics.connections_open.set(len(self._open)))

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    def admit(self, connection: Watched, address: str) -> bool:
        """Take a connection in. One that is not may tell its client so, and has to `leave` all the same."""
        client = "" if address in self._proxies else client_of(address)
        if len(self._open) >= self._total:
            return self._refuse(connection, "all_taken")
        if client and self._per_client and self._of_client[client] >= self._per_client:
            return self._refuse(connection, "client_has_many")
        self._open[connection] = client
        if client:
            self._of_client[client] += 1
        return True

    def _refuse(self, connection: Watched, reason: str) -> bool:
        self.ended(reason)
        if len(self._refused) < _REFUSED_AT_ONCE:
            self._refused.add(connection)
        else:
            connection.abort()
        return False

    def leave(self, connection: Watched) -> None:
        """Forget a connection."""
        self._refused.discard(connection)
        client = self._open.pop(connection, "")
        if client:
            self._of_client[client] -= 1
            if not self._of_client[client]:
                del self._of_client[client]

    def ended(self, reason: str) -> None:
        """Count a connection that the server refused or ended."""
        self._metrics.connections_ended.labels(reason).inc()

    def look(self) -> None:
        """Let a second pass."""
        for connection in [*self._open, *self._refused]:
            try:
                connection.look()
            except Exception:
                log.exception("a connection could not be looked at")
                connection.abort()

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Look at all of them once a second while the block lasts."""
        looking = asyncio.create_task(self._look_on(), name="connections")
        try:
            yield
        finally:
            looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await looking

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self.look()


class Proxies:
    """Addresses and networks from a comma list, as TRUSTED_PROXIES has them; `*` is everybody."""

    def __init__(self, text: str) -> None:
        parts = {part.strip() for part in text.split(",")}
        self._everybody = "*" in parts
        self._networks = [network for part in parts if (network := read_network(part)) is not None]
        self._found = lru_cache(_REMEMBERED_PEERS)(self._find)  # proxies ask over and over

    def __contains__(self, address: str) -> bool:
        return self._everybody or self._found(address)

    def _find(self, address: str) -> bool:
        found = read_address(address)
        return found is not None and any(found in network for network in self._networks)


def room_for_connections(settings: Settings) -> int:
    """Return how many connections this process takes: API_MAX_CONNECTIONS, or what its file descriptors leave."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return settings.api_max_connections
    left = files - settings.s3_max_connections - settings.db_pool_size - settings.db_max_overflow - _OTHER_FILES
    return min(settings.api_max_connections, max(left, _FEWEST))
