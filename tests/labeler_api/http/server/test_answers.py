"""The header of an answer on the wire: byte by byte what uvicorn itself would write."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from labeler_api.http.server import answer
from labeler_api.http.server.protocol import BoundedProtocol
from tests.fixtures.waiting import until

Field = tuple[bytes, bytes]

JSON: list[Field] = [(b"content-type", b"application/json"), (b"content-length", b"2")]
ANSWERS: dict[str, tuple[int, list[Field], bytes]] = {
    "json": (200, JSON, b"{}"),
    "letters": (200, [(b"Content-Type", b"text/plain"), (b"Content-Length", b"2"), (b"X-Request-Id", b"abc")], b"{}"),
    "the same field twice": (200, [(b"vary", b"Origin"), (b"vary", b"Accept-Encoding"), *JSON], b"{}"),
    "no length": (200, [(b"cache-control", b"no-store")], b"hello"),
    "chunked": (200, [(b"transfer-encoding", b"chunked")], b"hello"),
    "nothing": (204, [], b""),
    "not modified": (304, [(b"etag", b'W/"1"')], b""),
    "the last one": (200, [(b"connection", b"Close"), *JSON], b"{}"),
    "the last one, among others": (200, [(b"connection", b"x, close"), *JSON], b"{}"),
    "goes on": (200, [(b"connection", b"keep-alive"), *JSON], b"{}"),
    "of no known status": (299, JSON, b"{}"),
    "an empty value": (200, [(b"x-next-cursor", b""), *JSON], b"{}"),
    "two answers in one": (200, [(b"x-name", b"a\r\nSet-Cookie: b"), *JSON], b"{}"),
    "two answers in one, of few values": (200, [(b"cache-control", b"a\nb"), *JSON], b"{}"),
    "no name": (200, [(b"a b", b"c"), *JSON], b"{}"),
}


@asynccontextmanager
async def answering(protocol: type[asyncio.Protocol]) -> AsyncIterator[int]:
    """A server whose answers are those above, by their numbers; its port."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        status, headers, body = list(ANSWERS.values())[int(scope["path"][1:])]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    config = uvicorn.Config(
        app, port=0, http=protocol, ws="none", lifespan="off", log_config=None, timeout_graceful_shutdown=1
    )
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve())
    await until(lambda: running.started)
    try:
        yield running.servers[0].sockets[0].getsockname()[1]
    finally:
        running.should_exit = True
        await task


async def asked(port: int, request: bytes) -> bytes:
    """All that a server says until it ends the connection, but for the time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    writer.write_eof()
    async with asyncio.timeout(20):
        said = await reader.read()
    writer.close()
    return re.sub(rb"date: [^\r]+", b"date: now", said)


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_it_is_what_uvicorn_writes(method: bytes, version: bytes) -> None:
    async with answering(HttpToolsProtocol) as theirs, answering(BoundedProtocol) as ours:
        for number, name in enumerate(ANSWERS):
            request = b"%b /%d HTTP/%b\r\nHost: x\r\nConnection: close\r\n\r\n" % (method, number, version)
            expected = await asked(theirs, request)
            for _ in range(2):  # what is remembered, too
                assert await asked(ours, request) == expected, name


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "_lines", dict.fromkeys(((b"n", b"%d" % number) for number in range(512)), b""))
    async with answering(BoundedProtocol) as port:
        assert b"application/json" in await asked(port, b"GET /0 HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert len(answer._lines) == 512
