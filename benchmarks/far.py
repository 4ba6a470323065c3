"""A TCP proxy that puts a database further away, and counts the conversations that pass through it."""

import asyncio
from collections import deque
from typing import Self
from urllib.parse import urlsplit

_APPLICATION = b"application_name\0labeler_api\0"
"""What the connections of the API's pool say when they begin. The job queue and the watch have others of their own."""


class _End(asyncio.Protocol):
    """One end of a connection: what it hears it tells the other end, half a round trip later."""

    def __init__(self, far: "Far", *, asks: bool) -> None:
        self._far = far
        self._asks = asks
        self._on_the_way: deque[bytes] = deque()
        self._transport: asyncio.Transport | None = None
        self._is_pools = False
        self._is_answered = True  # nothing was asked yet, or an answer has come since
        self.other: _End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._asks:
            transport.pause_reading()  # until the server is there
            self._far.begin(self)

    def data_received(self, data: bytes) -> None:
        if self._asks:
            self._note(data)
        elif self.other is not None:
            self.other._is_answered = True
        self._on_the_way.append(data)
        if self._far.one_way_seconds:
            asyncio.get_running_loop().call_later(self._far.one_way_seconds, self._arrive)
        else:
            self._arrive()

    def _note(self, data: bytes) -> None:
        """Count one round trip for all that is sent until something is answered."""
        if self._is_answered and self._is_pools:
            self._far.round_trips += 1
        self._is_answered = False
        self._is_pools = self._is_pools or _APPLICATION in data

    def _arrive(self) -> None:
        data = self._on_the_way.popleft()  # timers may fire in any order, bytes must not
        if self.other is not None and self.other._transport is not None:
            self.other._transport.write(data)

    def meet(self, other: "_End") -> None:
        """Go on with the other end."""
        self.other, other.other = other, self
        assert self._transport is not None
        self._transport.resume_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        if self.other is not None and self.other._transport is not None:
            self.other._transport.close()
        self.other = None

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


class Far:
    """The proxy. `one_way_seconds` passes in each direction; `round_trips` counts those of the API's pool."""

    def __init__(self, dsn: str) -> None:
        self._parts = urlsplit(dsn)
        self._target = self._parts.hostname or "127.0.0.1", self._parts.port or 5432
        self._server: asyncio.Server | None = None
        self._begun: set[asyncio.Task[None]] = set()
        self.one_way_seconds = 0.0
        self.round_trips = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _End(self, asks=True), "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    @property
    def dsn(self) -> str:
        """The database's URL by way of the proxy."""
        assert self._server is not None
        login = self._parts.netloc.rpartition("@")[0]
        port = self._server.sockets[0].getsockname()[1]
        return self._parts._replace(netloc=f"{login}@127.0.0.1:{port}").geturl()

    def begin(self, client: _End) -> None:
        """Open the way to the server for a client."""
        task = asyncio.create_task(self._begin(client))
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)

    async def _begin(self, client: _End) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, server = await loop.create_connection(lambda: _End(self, asks=False), *self._target)
        except OSError:
            client.close()
            return
        client.meet(server)
