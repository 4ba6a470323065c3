"""The connections to a store, on servers that answer by the letter: plain and TLS, on asyncio and on uvloop."""

import asyncio
import ssl
import subprocess
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from labeler_ops.storage import connection
from labeler_ops.storage.connection import Broken, Connections

BODY = bytes(range(256)) * 16 * 1024  # 4 MiB
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of 127.0.0.1 in one file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    options = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1"]
    subprocess.run([*command, *options, "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return certificate


@asynccontextmanager
async def served(answer: Callable[[Reader, Writer], Awaitable[None]], tls: Path | None = None) -> AsyncIterator[str]:
    context = None
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls)

    async def one(reader: Reader, writer: Writer) -> None:
        try:
            await answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(one, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def echo(reader: Reader, writer: Writer) -> None:
    """Answer each request with its body, and a HEAD with its length alone."""
    while True:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0)
        body = await reader.readexactly(length)
        said = 7 if head.startswith("head") else length
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {said}\r\nX-Two: a\r\nx-two: b\r\n\r\n".encode() + body)
        await writer.drain()


async def exchange(origin: str) -> None:
    seen: list[bytes] = []
    async with Connections(origin, 2) as store:
        for size in (0, 10, len(BODY)):
            answer = await store.request("PUT", "/a", {"host": "x"}, BODY[:size])
            assert answer.status == 200
            assert answer.body == BODY[:size]
            assert answer.headers["x-two"] == "a, b"
        assert (await store.request("HEAD", "/a", {"host": "x"}, b"")).headers["content-length"] == "7"
        answers = await asyncio.gather(*(store.request("PUT", "/a", {}, BODY, seen.append) for _ in range(4)))
        assert {one.body for one in answers} == {b""}
    assert sum(map(len, seen)) == 4 * len(BODY)


@pytest.mark.parametrize("secure", [False, True])
def test_bodies_of_every_size_go_and_come(trusted: Path, secure: bool) -> None:
    async def work() -> None:
        async with served(echo, trusted if secure else None) as origin:
            await exchange(origin)

    for run in (asyncio.run, uvloop.run):
        run(work())


async def test_answers_by_the_letter() -> None:
    turns = iter((CHUNKED, b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED, b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nCon"))

    async def by_the_letter(reader: Reader, writer: Writer) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(text := next(turns))
            if not text.endswith(b"\r\n\r\n") or text.startswith(b"nonsense"):
                return await writer.drain()

    async with served(by_the_letter) as origin, Connections(origin, 1) as store:
        assert (await store.request("GET", "/", {}, b"")).body == b"abcde"
        assert (await store.request("GET", "/", {}, b"")).body == b"abcde"
        for _ in range(2):
            with pytest.raises(Broken):
                await store.request("GET", "/", {}, b"")
        with pytest.raises(ValueError, match="line break"):
            await store.request("GET", "/", {"x-amz-meta-a": "b\r\nx-evil: c"}, b"")


async def test_a_refusal_before_the_body_and_a_store_that_falls_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_CHECK_SECONDS", 0.05)
    monkeypatch.setattr(connection, "_IDLE_SECONDS", 0.2)

    async def refusing(reader: Reader, writer: Writer) -> None:
        if (await reader.readuntil(b"\r\n\r\n")).startswith(b"PUT"):
            writer.write(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 4\r\n\r\nslow")
        await reader.read(-1)

    async with served(refusing) as origin, Connections(origin, 1) as store:
        kept: list[bytes] = []
        answer = await store.request("PUT", "/a", {}, BODY, kept.append)
        assert answer.status == 503
        assert answer.reason == "Slow Down"
        assert answer.body == b"slow"
        assert kept == []
        with pytest.raises(Broken, match="nothing came"):
            await store.request("GET", "/a", {}, b"")
