"""HTTP/1.1 connections for many small requests: bodies go where they are wanted, without a copy that nobody needs.

A general client costs a millisecond of CPU for every object that is read on both sides; this a third of it. The
parsing is httptools' (llhttp). A request is sent once. The caller decides whether to send it again: it knows how
often a key may be written.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

import httptools

_BUFFER = 256 * 1024  # what one read takes at most; hashed at once, so no more than a loop's other work may wait for
_PIECE = 1024 * 1024  # of a body that is sent; TLS encrypts a piece at once
_CONNECT_SECONDS = 10.0
_IDLE_SECONDS = 60.0  # without a byte in either direction
_CHECK_SECONDS = 5.0  # between two checks whether bytes have moved
_REFUSED = 300  # statuses from here on carry an explanation, not the object

Sink = Callable[[bytes], object]
"""Takes the body of a successful answer as it comes."""


class Broken(Exception):
    """The connection failed before the answer was whole."""


@dataclass(slots=True)
class Answer:
    """An answer that is whole. Names of headers are in lower case; `body` is empty when a sink took it."""

    status: int = 0
    reason: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class _Connection(asyncio.BufferedProtocol):
    """Carries one request at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._transport: asyncio.Transport | None = None
        self._drained = asyncio.Event()
        self._drained.set()
        self._done: asyncio.Future[Answer] | None = None
        self._received = 0
        self.reusable = False

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is no subclass of asyncio's
        self.reusable = True

    def get_buffer(self, _hint: int) -> memoryview:
        return self._view

    def buffer_updated(self, size: int) -> None:
        self._received += size
        if self._done is None:  # an answer to nothing: whatever it is, it must not become the next one's
            self.close()
            return
        try:
            self._parser.feed_data(self._view[:size])
        except httptools.HttpParserError as error:
            self._fail(f"not an HTTP answer: {error}")

    def pause_writing(self) -> None:
        self._drained.clear()

    def resume_writing(self) -> None:
        self._drained.set()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(f"the connection was lost: {error or 'closed by the store'}")

    # httptools' side

    def on_status(self, text: bytes) -> None:
        self._answer.reason += text.decode(errors="replace")

    def on_header(self, name: bytes, value: bytes) -> None:
        known, key = self._answer.headers, name.decode().lower()
        text = value.decode(errors="surrogateescape")
        known[key] = f"{known[key]}, {text}" if key in known else text

    def on_headers_complete(self) -> None:
        self._answer.status = self._parser.get_status_code()
        if self._bodyless:
            self._finish()

    def on_body(self, piece: bytes) -> None:
        if self._sink is not None and self._answer.status < _REFUSED:
            self._sink(piece)
        else:
            self._pieces.append(piece)

    def on_message_complete(self) -> None:
        if self._answer.status >= 200:  # noqa: PLR2004 - an interim answer is followed by the real one
            self._finish()

    # ours

    async def send(self, method: str, head: bytes, body: bytes | bytearray, sink: Sink | None) -> Answer:
        """Send a request and wait for the end of its answer. Raises Broken."""
        assert self._transport is not None  # noqa: S101 - a connection is lent after it was made
        self._answer, self._sink = Answer(), sink
        self._pieces: list[bytes] = []
        self._bodyless = method == "HEAD"
        self._parser = httptools.HttpResponseParser(self)
        self._done = self._loop.create_future()
        watch = self._loop.call_later(_CHECK_SECONDS, self._check_idle, self._done, (-1, -1), self._loop.time())
        whole = False
        try:
            await self._write(head, body)
            answer = await self._done
            whole = True
        finally:
            watch.cancel()
            self._done = None
            if not whole:
                self.close()
        return answer

    async def _write(self, head: bytes, body: bytes | bytearray) -> None:
        transport, done = self._transport, self._done
        assert transport is not None  # noqa: S101
        assert done is not None  # noqa: S101
        if len(body) <= _PIECE:
            transport.writelines((head, body) if body else (head,))
            return
        transport.write(head)
        pieces = memoryview(body)
        for start in range(0, len(body), _PIECE):
            if done.done():  # refused before it was sent: the rest has no reader
                self.reusable = False
                return
            transport.write(pieces[start : start + _PIECE])
            await self._drained.wait()

    def _check_idle(self, done: "asyncio.Future[Answer]", before: tuple[int, int], moved: float) -> None:
        """Give the request up when nothing has come or gone for too long."""
        if done.done() or self._done is not done or self._transport is None:
            return
        now = self._received, self._transport.get_write_buffer_size()
        if now != before:
            moved = self._loop.time()
        if self._loop.time() - moved > _IDLE_SECONDS:
            self._fail(f"nothing came for {_IDLE_SECONDS:.0f} s")
        else:
            self._loop.call_later(_CHECK_SECONDS, self._check_idle, done, now, moved)

    def _finish(self) -> None:
        if self._done is not None and not self._done.done():
            self._answer.body = b"".join(self._pieces)
            self.reusable = self.reusable and (self._bodyless or self._parser.should_keep_alive())
            if self._answer.headers.get("connection", "").lower() == "close":
                self.reusable = False
            self._done.set_result(self._answer)

    def _fail(self, text: str) -> None:
        self.reusable = False
        self._drained.set()
        if self._done is not None and not self._done.done():
            self._done.set_exception(Broken(text))
        self.close()

    def close(self) -> None:
        """Hang up."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()


class Connections:
    """A bounded number of connections to one origin, `http(s)://host[:port]`, kept open between requests."""

    def __init__(self, origin: str, limit: int) -> None:
        parts = urlsplit(origin)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._room = asyncio.Semaphore(limit)
        self._idle: list[_Connection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._idle:
            connection.close()
        await asyncio.sleep(0)  # what was closed is told so in the next turn of the loop

    async def request(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | bytearray, sink: Sink | None = None
    ) -> Answer:
        """Send one request; `headers` has Host. Raises Broken, and ValueError for what no header can carry."""
        length = {"content-length": str(len(body))} if body or method in {"PUT", "POST"} else {}
        lines = "".join(f"{name}: {_one_line(value)}\r\n" for name, value in (*headers.items(), *length.items()))
        head = f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode()
        async with self._lend() as connection:
            return await connection.send(method, head, body, sink)

    @asynccontextmanager
    async def _lend(self) -> AsyncIterator[_Connection]:
        async with self._room:
            connection = self._idle.pop() if self._idle else None
            while connection is not None and not connection.reusable:
                connection = self._idle.pop() if self._idle else None
            connection = connection or await self._connect()
            try:
                yield connection
            finally:
                if connection.reusable:
                    self._idle.append(connection)
                else:
                    connection.close()

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, connection = await loop.create_connection(_Connection, self._host, self._port, ssl=self._tls)
        except (OSError, TimeoutError) as error:
            raise Broken(f"cannot connect: {str(error) or type(error).__name__}") from error
        return connection


def _one_line(value: str) -> str:
    if any(character in value for character in "\r\n\0"):
        raise ValueError(f"a header cannot carry a line break: {value!r}")
    return value
