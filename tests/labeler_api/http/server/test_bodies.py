"""Bodies: how slowly, and in what chunks."""

import contextlib

import pytest

from labeler_api.http.server.connections import Bounds
from labeler_api.http.server.protocol import BoundedProtocol
from tests.fixtures.waiting import until
from tests.labeler_api.http.server.bare_server import GET, Client, Server, serving

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE
CHUNKED = b"POST /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
BOUNDS = Bounds(window_seconds=5, body_bytes=4 * KIBIBYTE)


def post(size: int, path: bytes = b"/read", more: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%b\r\n" % (path, size, more)


async def settled(server: Server, client: Client) -> None:
    """Until the server has read what this client sent: it reads in turn, and this comes later."""
    before = len(server.states)
    other = await server.client()
    await other.send(GET)
    await other.answer()
    await until(lambda: len(server.states) > before)


async def test_a_body_that_trickles_is_ended_and_the_application_told() -> None:
    async with serving(BOUNDS) as server:
        client = await server.client()
        await client.send(post(1_000_000))
        for _ in range(6):
            await client.send(b"b")
            await settled(server, client)
            await server.pass_seconds(1)
        assert await client.refusal() == (408, "body_timeout")
        assert server.ended("body_timeout") == 1
        await until(lambda: server.disconnects == 1)
        assert server.states[0]["refused"] == 408


async def test_a_slow_body_that_goes_on_is_taken_however_long_it_lasts() -> None:
    async with serving(BOUNDS) as server:
        client = await server.client()
        await client.send(post(20 * 5 * KIBIBYTE))
        for _ in range(20):
            await client.send(b"b" * 5 * KIBIBYTE)
            await settled(server, client)
            await server.pass_seconds(5)
        assert (await client.answer())[2] == b"102400"


async def test_an_application_that_does_not_read_is_not_the_clients_fault() -> None:
    async with serving(BOUNDS) as server:
        client = await server.client()
        await client.send(post(200 * KIBIBYTE, b"/hang") + b"b" * 100 * KIBIBYTE)
        await until(lambda: server.hanging == 1)
        await settled(server, client)
        await server.pass_seconds(60)
        assert server.ended("body_timeout") == 0
        server.go_on.set()
        assert (await client.answer())[0] == 200


async def test_the_rest_of_a_body_that_was_answered_may_come_for_ten_seconds() -> None:
    async with serving() as server:
        client = await server.client()
        await client.send(post(1_000_000, b"/hello") + b"b" * 1000)
        assert (await client.answer())[0] == 200
        await server.pass_seconds(10)
        await client.send(b"b" * 1000)
        await server.pass_seconds(1)
        assert await client.ended() == b""
        assert server.ended("rest_of_body") == 1


async def test_a_client_that_waits_for_100_continue_is_told_to_go_on() -> None:
    async with serving() as server:
        client = await server.client()
        await client.send(post(5, more=b"Expect: 100-continue\r\n"))
        assert (await client.head())[0] == 100
        await client.send(b"bbbbb")
        assert (await client.answer())[2] == b"5"


async def test_sound_chunks_are_taken_whatever_their_number() -> None:
    async with serving() as server:
        client = await server.client()
        await client.send(CHUNKED + b"10\r\nbbbbbbbbbbbbbbbb\r\n" * 50_000 + b"0\r\nx-sum: 1\r\n\r\n")
        assert (await client.answer())[2] == b"800000"
        assert [name for name, _ in server.headers[0]] == [b"host", b"transfer-encoding"]  # and no trailer


@pytest.mark.parametrize(
    "mostly",
    [
        b"1\r\nb\r\n" * 200_000,
        b"1;" + b"e" * 1_000_000,
        (b"1;" + b"e" * 1000 + b"\r\nb\r\n") * 1000,
        b"0\r\nx-trailer: " + b"t" * 1_000_000,
    ],
    ids=["bytes", "an extension", "extensions", "a trailer"],
)
async def test_chunks_that_are_mostly_framing_are_refused(mostly: bytes) -> None:
    async with serving() as server:
        client = await server.client()
        await client.send(CHUNKED + mostly)
        assert await client.refusal() == (400, "body_framing")
        await until(lambda: server.disconnects == 1)


@pytest.mark.parametrize("before", [b"", post(100_000)], ids=["alone", "behind another request"])
async def test_few_chunks_are_looked_at_before_they_are_refused(before: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transport reads 256 KiB at once, in which forty thousand chunks of a byte would keep everybody waiting."""
    taken: list[int] = []
    take = BoundedProtocol.on_body

    def counted(self: BoundedProtocol, body: bytes) -> None:
        taken.append(len(body))
        take(self, body)

    monkeypatch.setattr(BoundedProtocol, "on_body", counted)
    async with serving() as server:
        client = await server.client()
        await client.send(before)
        await client.send(bytes(100_000 if before else 0) + CHUNKED + b"1\r\nb\r\n" * 200_000)
        if before:
            assert (await client.answer())[2] == b"100000"
        await until(lambda: server.ended("body_framing") == 1)
    # One slice with the header, of which nothing counts, and two until the bound. A chunk of a byte has six bytes.
    assert taken.count(1) <= 3 * 16 * KIBIBYTE // 6


async def test_a_body_of_a_known_length_is_taken_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices are for what may be framing: an upload's reads go to the parser whole."""
    taken: list[int] = []
    take = BoundedProtocol.on_body

    def counted(self: BoundedProtocol, body: bytes) -> None:
        taken.append(len(body))
        take(self, body)

    monkeypatch.setattr(BoundedProtocol, "on_body", counted)
    async with serving() as server:
        client = await server.client()
        await client.send(post(8 * MEBIBYTE) + bytes(8 * MEBIBYTE))
        assert (await client.answer())[2] == str(8 * MEBIBYTE).encode()
    assert max(taken) > 16 * KIBIBYTE


async def test_who_was_refused_and_goes_on_sending_is_ended() -> None:
    async with serving() as server:
        stubborn, silent = await server.client(), await server.client()
        for client in (stubborn, silent):
            await client.send(CHUNKED + b"1;" + b"e" * 600_000)
            assert (await client.answer())[0] == 400
        with contextlib.suppress(ConnectionError):
            for _ in range(1000):
                await stubborn.send(b"e" * 65_536)
        await server.pass_seconds(3)
        await until(lambda: len(server.connections) == 0)


async def test_after_a_refusal_one_mebibyte_is_read_off_and_no_more() -> None:
    async with serving() as server:
        client = await server.client()
        await client.send(CHUNKED + b"1;" + b"e" * 600_000)
        assert (await client.answer())[0] == 400
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 100 * MEBIBYTE:
                await client.send(b"e" * 65_536)
                sent += 65_536
        assert sent < 50 * MEBIBYTE  # what the kernel holds on both ways is some megabytes


async def test_many_trailers_are_refused() -> None:
    async with serving() as server:
        client = await server.client()
        await client.send(CHUNKED + b"0\r\n" + b"a: b\r\n" * 102)  # a field is told when the next begins
        assert await client.refusal() == (431, "header_too_many_fields")


async def test_a_body_that_is_no_http_is_refused_and_the_application_told() -> None:
    async with serving() as server:
        client = await server.client()
        await client.send(CHUNKED)
        await settled(server, client)
        await client.send(b"not a number\r\n")
        assert await client.refusal() == (400, "not_http")
        await until(lambda: server.disconnects == 1)


async def test_nonsense_behind_a_request_does_not_take_its_answer() -> None:
    async with serving() as server:
        client = await server.client()
        await client.send(GET.replace(b"/hello", b"/hang"))
        await until(lambda: server.hanging == 1)
        await client.send(b"\x00\x00\x00")
        await until(lambda: server.ended("not_http") == 1)
        await server.pass_seconds(5)
        server.go_on.set()
        assert (await client.answer())[0] == 200
        assert await client.ended() == b""


async def test_an_ended_connection_is_ended_once_and_reads_no_further() -> None:
    """What came in the same bytes is no longer taken: neither framing, which would be counted again, nor a request."""
    async with serving() as server:
        client = await server.client()
        await client.send(CHUNKED.replace(b"/read", b"/hello") + b"1\r\nb\r\n")
        assert (await client.answer())[2] == b"hello"
        await client.send(b"1\r\nb\r\n" * 30_000 + b"0\r\n\r\n" + GET)
        assert await client.ended() == b""
        assert server.ended("body_framing") == 1
        assert len(server.states) == 1
