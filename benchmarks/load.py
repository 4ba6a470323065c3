"""A small HTTP/1.1 load generator: keep-alive connections, one request at a time on each, raw bytes in and out.

Python's HTTP clients cost more per request than the servers measured here, and would hide the difference.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, repeat
from statistics import quantiles
from time import perf_counter
from urllib.parse import urlsplit

import httptools


@dataclass(frozen=True)
class Result:
    """One measurement: requests a second, latencies in milliseconds, and answers of another status than was asked for."""

    requests_per_second: float
    p50_ms: float
    p95_ms: float
    slowest_ms: float
    failures: int
    requests: int = 0


class Connection(asyncio.Protocol):
    """A keep-alive connection that carries one request at a time."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._done: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(self._parser.get_status_code())
        self._parser = httptools.HttpResponseParser(self)

    def connection_lost(self, _error: Exception | None) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(ConnectionResetError("the server closed the connection"))

    async def ask(self, request: bytes) -> int:
        """Send a request and return the status of its answer, once it is there whole."""
        assert self._transport is not None
        if self._transport.is_closing():
            raise ConnectionResetError("the server closed the connection")
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._done

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


@dataclass(frozen=True)
class Request:
    """What is sent over and over, and the status of its answer, None for any that is 2xx."""

    url: str
    method: str = "GET"
    body: bytes = b""
    headers: Mapping[str, str] | None = None
    status: int | None = None

    def is_answered_by(self, status: int) -> bool:
        """Whether this is the status of its answer."""
        return status == self.status if self.status is not None else 200 <= status < 300

    def encoded(self) -> bytes:
        """The bytes on the wire."""
        parts = urlsplit(self.url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = [f"{self.method} {target} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(self.body)}"]
        lines += ["Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in (self.headers or {}).items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + self.body


async def ask_once(request: Request) -> int:
    """Send a request over a connection of its own, and return the status of its answer."""
    parts = urlsplit(request.url)
    assert parts.hostname is not None
    assert parts.port is not None
    _, connection = await asyncio.get_running_loop().create_connection(Connection, parts.hostname, parts.port)
    try:
        return await connection.ask(request.encoded())
    finally:
        connection.close()


async def measure(requests: Sequence[Request], *, connections: int, seconds: float, in_turns: bool = False) -> Result:
    """Send requests over and over on so many connections, each its own one of `requests`, for so long.

    `in_turns`: each sends the next one of all, and not its own one.
    """
    parts = urlsplit(requests[0].url)
    host, port = parts.hostname, parts.port
    assert host is not None
    assert port is not None
    loop = asyncio.get_running_loop()
    pool = [(await loop.create_connection(Connection, host, port))[1] for _ in range(connections)]
    latencies: list[float] = []
    failures = 0
    started = perf_counter()

    async def run(connection: Connection, own: Iterator[tuple[Request, bytes]]) -> None:
        nonlocal failures
        while (sent := perf_counter()) - started < seconds:
            request, encoded = next(own)
            status = await connection.ask(encoded)
            latencies.append((perf_counter() - sent) * 1000)
            failures += not request.is_answered_by(status)

    try:
        encoded = [(request, request.encoded()) for request in requests]
        every = cycle(encoded)
        await asyncio.gather(
            *(
                run(connection, every if in_turns else repeat(encoded[number % len(encoded)]))
                for number, connection in enumerate(pool)
            )
        )
    finally:
        for connection in pool:
            connection.close()
    elapsed = perf_counter() - started
    cuts = quantiles(latencies, n=100) if len(latencies) > 1 else [latencies[0]] * 99
    return Result(len(latencies) / elapsed, cuts[49], cuts[94], max(latencies), failures, len(latencies))
