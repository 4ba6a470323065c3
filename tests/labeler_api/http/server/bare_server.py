"""A small application behind the real protocol, and clients that speak bytes. Seconds pass when a test says so."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send

from labeler_api.http.server.connections import STATE, Bounds, Connections
from labeler_api.http.server.protocol import BoundedProtocol
from labeler_api.telemetry.metrics import Metrics
from tests.fixtures.waiting import until

GET = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
PATIENCE = 20.0
KEEP_ALIVE_SECONDS = 75


@dataclass
class Client:
    """One connection that sends what it likes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        async with asyncio.timeout(PATIENCE):
            first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        return int(first.split()[1]), {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        status, headers = await self.head()
        async with asyncio.timeout(PATIENCE):
            return status, headers, await self.reader.readexactly(int(headers["content-length"]))

    async def refusal(self) -> tuple[int, str]:
        """The status and the code of an answer that ends the connection."""
        status, headers, body = await self.answer()
        assert headers["connection"] == "close"
        told = json.loads(body)
        assert set(told) == {"detail", "code", "request_id"}
        async with asyncio.timeout(PATIENCE):
            assert await self.reader.read() == b""
        return status, told["code"]

    async def ended(self) -> bytes:
        """What came until the server ended the connection, however it did."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


@dataclass
class Server:
    """`/hello` answers, `/read` reads the body, `/hang` waits for `go_on` or the client's end, `/large` sends."""

    connections: Connections
    metrics: Metrics
    large_bytes: int = 64 * 1024 * 1024
    port: int = 0
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    hanging: int = 0
    states: list[dict[str, Any]] = field(default_factory=list)
    read: list[bytes] = field(default_factory=list)
    headers: list[list[tuple[bytes, bytes]]] = field(default_factory=list)
    disconnects: int = 0
    in_one_piece: bool = False
    answered: int = 0
    clients: list[Client] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            scope["state"][STATE] = self.connections
            for name in ("startup", "shutdown"):
                assert (await receive())["type"] == f"lifespan.{name}"
                await send({"type": f"lifespan.{name}.complete"})
            return
        self.states.append(scope["state"])
        self.headers.append(scope["headers"])
        body = b"hello"
        if scope["path"] == "/read":
            body = str(len(await self._body(receive))).encode()
        elif scope["path"] == "/hang":
            self.hanging += 1
            await self.go_on.wait()
        elif scope["path"] == "/large":
            body = bytes(self.large_bytes)
        length = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        piece = len(body) if self.in_one_piece else 65536
        for at in range(0, len(body), piece):
            more = at + piece < len(body)
            await send({"type": "http.response.body", "body": body[at : at + piece], "more_body": more})
        self.answered += 1

    async def _body(self, receive: Receive) -> bytes:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnects += 1
                return body
            body += message["body"]
            more = message["more_body"]
        self.read.append(body)
        return body

    async def client(self, host: str = "127.0.0.1", receive_bytes: int = 0) -> Client:
        own = socket.socket()
        if receive_bytes:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        own.setblocking(False)
        own.bind((host, 0))
        await asyncio.get_running_loop().sock_connect(own, ("127.0.0.1", self.port))
        reader, writer = await asyncio.open_connection(sock=own, limit=2**16)
        self.clients.append(Client(reader, writer))
        return self.clients[-1]

    async def pass_seconds(self, seconds: int) -> None:
        for _ in range(seconds):
            self.connections.look()
            await asyncio.sleep(0)

    def ended(self, reason: str) -> float:
        return self.metrics.registry.get_sample_value("labeler_connections_ended_total", {"reason": reason}) or 0.0


@asynccontextmanager
async def serving(bounds: Bounds | None = None, **limits: Any) -> AsyncIterator[Server]:
    metrics = Metrics()
    server = Server(Connections(bounds, metrics=metrics, **limits), metrics)
    config = uvicorn.Config(
        server,
        port=0,
        http=BoundedProtocol,
        ws="none",
        log_config=None,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve())
    await until(lambda: running.started)
    server.port = running.servers[0].sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        for client in server.clients:
            client.writer.transport.abort()
        running.should_exit = True
        server.go_on.set()
        await task
