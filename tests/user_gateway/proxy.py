"""A TCP proxy in front of a database, so that a test can take the network away and give it back."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Proxy:
    """Forwards to one server. `cut` refuses and drops connections, `stall` keeps them and moves no byte.

    `forget` does to the connections of now what a firewall does: no byte passes, and nobody is told; new ones work.
    `delay_seconds` passes before each piece is passed on; `requests` counts those towards the server, about one for
    each round trip.
    """

    def __init__(self, dsn: str) -> None:
        parts = urlsplit(dsn)
        self._dsn = dsn
        self._target = (parts.hostname, parts.port)
        self.delay_seconds = 0.0
        self.requests = 0
        self._server: asyncio.Server | None = None
        self._port = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._pipes: set[asyncio.Task[None]] = set()
        self._known: dict[asyncio.Task[None], asyncio.Event] = {}  # in the order in which they came

    async def __aenter__(self) -> Self:
        await self.restore()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cut()

    @property
    def dsn(self) -> str:
        """The database's URL by way of the proxy."""
        parts = urlsplit(self._dsn)
        login = (parts.netloc).rpartition("@")[0]
        return parts._replace(netloc=f"{login}@127.0.0.1:{self._port}").geturl()

    async def cut(self) -> None:
        """Refuse new connections and drop the old ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        pipes = set(self._pipes)
        for pipe in pipes:
            pipe.cancel()
        await asyncio.gather(*pipes, return_exceptions=True)

    def stall(self) -> None:
        """Accept and keep connections, and move nothing: the cable is cut and nobody was told."""
        self._flowing.clear()

    def forget(self, *, keep: int = 0) -> None:
        """Move nothing any more on the connections that there are, but for the oldest so many."""
        for remembered in list(self._known.values())[keep:]:
            remembered.clear()

    async def restore(self) -> None:
        """Forward again."""
        self._flowing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pipes.add(task)
        remembered = self._known[task] = asyncio.Event()
        remembered.set()
        upstream: asyncio.StreamWriter | None = None
        try:
            await self._flowing.wait()
            back, upstream = await asyncio.open_connection(*self._target)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, upstream, remembered, counted=True))
                group.create_task(self._pump(back, writer, remembered))
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            pass
        finally:
            self._pipes.discard(task)
            self._known.pop(task)
            for end in (writer, upstream):
                if end is not None:
                    end.transport.abort()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        remembered: asyncio.Event,
        *,
        counted: bool = False,
    ) -> None:
        while data := await source.read(65_536):
            self.requests += counted
            await asyncio.sleep(self.delay_seconds)
            await self._flowing.wait()
            await remembered.wait()
            sink.write(data)
            await sink.drain()
        await remembered.wait()
        with contextlib.suppress(OSError):
            sink.write_eof()
