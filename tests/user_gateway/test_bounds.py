"""What a stranger may hold of the gateway: on its health port, and on its gRPC port."""

import asyncio
import struct
import time
from collections.abc import AsyncIterator

import grpc
import httpx
import psutil
import pytest

from proto.users.v1 import user_gateway_pb2 as pb
from proto.users.v1 import user_gateway_pb2_grpc as pb_grpc
from tests.fixtures import gateway_process
from tests.fixtures.gateway_process import GatewayProcess
from tests.fixtures.timing import check_within
from tests.fixtures.users import GATEWAY_TOKEN

PATIENCE = 40.0


@pytest.fixture
async def process(users_dsn: str) -> AsyncIterator[GatewayProcess]:
    started = await gateway_process.start(users_dsn, PORT="0")
    try:
        await started.wait_ready()
        yield started
    finally:
        await started.kill()


async def ended(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(PATIENCE):
        try:
            while await reader.read(65_536):
                pass
        except ConnectionError:
            pass
    return True


async def test_the_health_port_has_64_connections_and_lets_go_of_silent_ones(process: GatewayProcess) -> None:
    port = process.ready["health_port"]
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(64)]
    await asyncio.sleep(0.5)
    more, writer = await asyncio.open_connection("127.0.0.1", port)
    started = time.monotonic()
    assert await ended(more)
    check_within(time.monotonic() - started, 4)  # the held ones have five seconds
    writer.close()
    for reader, _ in held:
        assert await ended(reader)
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/health")).status_code == 200
    for _, each in held:
        each.close()


async def test_a_header_without_an_end_ends(process: GatewayProcess) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", process.ready["health_port"])
    sent = 0
    try:
        writer.write(b"GET /health HTTP/1.1\r\n")
        while sent < 64 * 2**20:
            writer.write(b"a: " + b"b" * 8_000 + b"\r\n")
            await writer.drain()
            sent += 8_000
    except ConnectionError:
        pass
    assert sent < 64 * 2**20
    assert await ended(reader)
    writer.close()


async def test_calls_have_a_size(process: GatewayProcess) -> None:
    async with grpc.aio.insecure_channel(process.address) as channel:
        stub = pb_grpc.UserGatewayServiceStub(channel)  # type: ignore[no-untyped-call]
        token = ("authorization", f"Bearer {GATEWAY_TOKEN}")
        large = pb.SearchUsersRequest(query="owner", exclude_ids=range(10**9, 10**9 + 100_000))
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stub.SearchUsers(large, metadata=[token])
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stub.GetUser(pb.GetUserRequest(id=2), metadata=[token, ("x-filler", "f" * 20_000)])
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (await stub.GetUser(pb.GetUserRequest(id=2), metadata=[token])).user.id == 2


async def test_the_port_has_so_many_connections(process: GatewayProcess) -> None:
    hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"  # RFC 9113, 3.4: and no settings
    held = []

    async def answered() -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", process.ready["port"])
        held.append(writer)
        try:
            writer.write(hello)
            async with asyncio.timeout(PATIENCE):
                return await reader.read(1) != b""
        except ConnectionError:
            return False

    taken = sum([await answered() for _ in range(560)])
    for writer in held:
        writer.close()
    assert 500 <= taken <= 512


_HEADERS, _RST_STREAM, _SETTINGS = 1, 3, 4  # kinds of frames, RFC 9113
_END_HEADERS = 4
_MAX_CONCURRENT_STREAMS = 3


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def request_headers() -> bytes:
    """A call without a token, each header a literal that is not indexed (RFC 7541)."""

    def text(value: bytes) -> bytes:
        return bytes([len(value)]) + value

    path = text(b"/users.v1.UserGatewayService/GetUser")
    return (
        b"\x83\x86\x04" + path + b"\x01" + text(b"gateway")
        + b"\x0f\x10" + text(b"application/grpc") + b"\x00" + text(b"te") + text(b"trailers")
    )  # fmt: skip


async def test_a_connection_has_a_thousand_calls_and_says_so(process: GatewayProcess) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", process.ready["port"])
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(_SETTINGS, 0, 0))
    head = await asyncio.wait_for(reader.readexactly(9), PATIENCE)
    assert head[3] == _SETTINGS
    payload = await reader.readexactly(int.from_bytes(head[:3]))
    settings = dict(struct.iter_unpack(">HI", payload))
    assert settings[_MAX_CONCURRENT_STREAMS] == 1_000
    writer.close()


@pytest.mark.parametrize("resets", [False, True])
async def test_streams_without_a_token_leave_little_behind(process: GatewayProcess, resets: bool) -> None:
    """Forty thousand on one connection, whatever it allows: they took a gibibyte, and kept it."""
    memory = psutil.Process(process.process.pid).memory_info
    before = memory().rss
    reader, writer = await asyncio.open_connection("127.0.0.1", process.ready["port"])
    draining = asyncio.create_task(ended(reader))
    headers = request_headers()
    try:
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(_SETTINGS, 0, 0))
        for number in range(40_000):
            stream = 2 * number + 1
            writer.write(frame(_HEADERS, _END_HEADERS, stream, headers))
            if resets:
                writer.write(frame(_RST_STREAM, 0, stream, bytes(4)))
            if number % 100 == 0:
                await writer.drain()
    except ConnectionError:
        pass  # cut off, which is as well
    await asyncio.sleep(2.0)
    grown = (memory().rss - before) / 2**20
    writer.close()
    draining.cancel()
    assert grown < 200
    async with grpc.aio.insecure_channel(process.address) as channel:
        stub = pb_grpc.UserGatewayServiceStub(channel)  # type: ignore[no-untyped-call]
        token = ("authorization", f"Bearer {GATEWAY_TOKEN}")
        assert (await stub.GetUser(pb.GetUserRequest(id=2), metadata=[token], timeout=PATIENCE)).user.id == 2


@pytest.mark.slow
async def test_a_connection_that_says_nothing_is_closed(process: GatewayProcess) -> None:
    """gRPC's own patience is 120 s."""
    reader, writer = await asyncio.open_connection("127.0.0.1", process.ready["port"])
    assert await ended(reader)
    writer.close()
