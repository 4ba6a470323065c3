"""Headers: how large, how many, how long."""

import pytest

from labeler_api.http.server.connections import Bounds
from tests.fixtures.waiting import until
from tests.labeler_api.http.server.bare_server import GET, KEEP_ALIVE_SECONDS, serving

KIBIBYTE = 1024
UPGRADE = b"%b HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"


async def test_a_header_of_64_kib_is_taken_and_a_larger_one_is_not() -> None:
    async with serving() as server:
        for size, expected in ((63 * KIBIBYTE, (200, None)), (64 * KIBIBYTE, (431, "header_too_large"))):
            client = await server.client()
            await client.send(b"GET /hello HTTP/1.1\r\nHost: x\r\nCookie: " + b"c" * size + b"\r\n\r\n")
            if expected[0] == 200:
                assert (await client.answer())[0] == 200
            else:
                assert await client.refusal() == expected
        assert server.ended("header_too_large") == 1


@pytest.mark.parametrize(
    "endless",
    [
        b"GET /hello HTTP/1.1\r\nHost: x\r\nCookie: " + b"c" * 70_000,
        b"GET /hello HTTP/1.1\r\nHost: x\r\n" + b"n" * 70_000,
        b"GET /" + b"u" * 70_000,
        b"GET /hello HTTP/1.1\r\n" + b"Host: x\r\n" * 50 + b"Cookie: " + b"c" * 70_000,
        b"\r\n" * 40_000,
    ],
    ids=["value", "name", "url", "fields", "empty lines"],
)
async def test_a_header_without_an_end_ends_at_64_kib(endless: bytes) -> None:
    async with serving() as server:
        client = await server.client()
        await client.send(endless)
        assert await client.refusal() == (431, "header_too_large")
        assert server.states == []


async def test_a_large_url_in_one_packet_is_refused_as_it_ends() -> None:
    async with serving() as server:
        client = await server.client()
        await client.send(b"GET /" + b"u" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await client.refusal() == (431, "header_too_large")


async def test_a_hundred_fields_are_taken_and_one_more_is_not() -> None:
    async with serving() as server:
        for count, expected in ((100, 200), (101, 431)):
            client = await server.client()
            await client.send(b"GET /hello HTTP/1.1\r\n" + b"a: b\r\n" * count + b"\r\n")
            assert (await client.answer())[0] == expected
        assert server.ended("header_too_many_fields") == 1


async def test_the_header_behind_another_request_is_not_charged_with_its_body() -> None:
    """The end of a large body and the next request arrive in one piece."""
    async with serving() as server:
        client = await server.client()
        body = b"b" * 200_000
        first = b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + body
        await client.send(first + GET[:30])
        assert (await client.answer())[2] == b"200000"
        await client.send(GET[30:])
        assert (await client.answer())[2] == b"hello"


async def test_ten_seconds_are_enough_for_a_header_and_eleven_are_not() -> None:
    async with serving() as server:
        slow, slower = await server.client(), await server.client()
        await slow.send(GET[:20])
        await slower.send(GET[:20])
        await until(lambda: len(server.connections) == 2)
        await server.client()
        await until(lambda: len(server.connections) == 3)  # what was sent before has been read
        await server.pass_seconds(10)
        await slow.send(GET[20:])
        assert (await slow.answer())[0] == 200
        await server.pass_seconds(1)
        assert await slower.refusal() == (408, "header_timeout")
        assert server.ended("header_timeout") == 1


async def test_a_byte_now_and_then_does_not_prolong_a_header() -> None:
    async with serving(Bounds(header_seconds=5)) as server:
        client = await server.client()
        for number in range(5):
            await client.send(GET[number : number + 1])
            await server.client()
            await until(lambda number=number: len(server.connections) == number + 2)  # type: ignore[misc]
            await server.pass_seconds(1)
        await server.pass_seconds(1)
        assert (await client.head())[0] == 408


async def test_the_second_request_of_a_connection_has_its_ten_seconds_too() -> None:
    async with serving() as server:
        client = await server.client()
        await client.send(GET)
        assert (await client.answer())[0] == 200
        await server.pass_seconds(60)
        await client.send(GET)
        assert (await client.answer())[0] == 200
        await client.send(GET[:10])
        await server.client()
        await until(lambda: len(server.connections) == 2)
        await server.pass_seconds(11)
        assert await client.refusal() == (408, "header_timeout")


async def test_a_connection_on_which_no_further_request_comes_is_closed() -> None:
    """After 75 s in which nobody is answered: how long an answer takes has other bounds."""
    async with serving() as server:
        quiet, patient = await server.client(), await server.client()
        await quiet.send(GET)
        assert (await quiet.answer())[0] == 200
        await patient.send(GET.replace(b"/hello", b"/hang"))
        await until(lambda: server.hanging == 1)
        await server.pass_seconds(KEEP_ALIVE_SECONDS)
        await quiet.send(GET)
        assert (await quiet.answer())[0] == 200
        await server.pass_seconds(KEEP_ALIVE_SECONDS + 1)
        assert await quiet.ended() == b""
        server.go_on.set()
        assert (await patient.answer())[0] == 200
        await server.pass_seconds(KEEP_ALIVE_SECONDS)
        await patient.send(GET)
        assert (await patient.answer())[0] == 200


async def test_a_connection_that_sends_nothing_is_closed_without_a_word() -> None:
    async with serving() as server:
        client = await server.client()
        await until(lambda: len(server.connections) == 1)
        await server.pass_seconds(11)
        assert await client.ended() == b""
        await until(lambda: len(server.connections) == 0)
        assert server.ended("silent") == 1


@pytest.mark.parametrize(
    "nonsense",
    [b"M" * 100_000 + b" / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/9.9\r\n\r\n"],
    ids=["method", "TLS", "version"],
)
async def test_what_is_no_http_is_refused_at_once(nonsense: bytes) -> None:
    async with serving() as server:
        client = await server.client()
        await client.send(nonsense)
        assert await client.refusal() == (400, "not_http")


async def test_http_1_0_and_upgrades_are_answered() -> None:
    async with serving() as server:
        old = await server.client()
        await old.send(b"GET /hello HTTP/1.0\r\n\r\n")
        assert (await old.answer())[2] == b"hello"
        assert await old.ended() == b""
        for upgrade in (b"h2c", b"websocket"):
            client = await server.client()
            await client.send(GET[:-2] + b"Connection: Upgrade\r\nUpgrade: " + upgrade + b"\r\n\r\n")
            assert (await client.answer())[2] == b"hello"
            await client.send(GET)
            assert (await client.answer())[2] == b"hello"


async def test_pipelined_requests_are_answered_and_their_number_ends() -> None:
    async with serving() as server:
        client = await server.client()
        await client.send(GET * 5)
        assert [(await client.answer())[0] for _ in range(5)] == [200] * 5
        flood = await server.client()
        await flood.send(GET.replace(b"/hello", b"/hang") + GET * 3000)
        await until(lambda: server.ended("pipelined") == 1)
        assert len(server.states) == 6
        server.go_on.set()
        assert (await flood.answer())[0] == 200
        assert await flood.ended() == b""
        assert len(server.states) == 6


async def test_requests_behind_an_upgrade_are_answered() -> None:
    async with serving() as server:
        client = await server.client()
        await client.send(UPGRADE % b"GET /hello" + b"\r\n" + GET * 2)
        assert [(await client.answer())[2] for _ in range(3)] == [b"hello"] * 3


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (b"Content-Length: 40000\r\n", b"b" * 40_000),
        (b"Transfer-Encoding: chunked\r\n", (b"4e20\r\n" + b"b" * 20_000 + b"\r\n") * 2 + b"0\r\n\r\n"),
    ],
    ids=["length", "chunked"],
)
@pytest.mark.parametrize("pause", [False, True], ids=["at once", "behind the header"])
async def test_the_body_of_a_request_for_an_upgrade_is_read(fields: bytes, body: bytes, pause: bool) -> None:
    """What stands in a body is no request: somebody else may have written it."""
    async with serving() as server:
        client = await server.client()
        head = UPGRADE % b"POST /read" + fields + b"\r\n"
        if pause:
            await client.send(head)
            await until(lambda: len(server.states) == 1)
            await client.send(body + GET)
        else:
            await client.send(head + body + GET)
        assert (await client.answer())[2] == b"40000"
        assert (await client.answer())[2] == b"hello"
        assert server.read == [b"b" * 40_000]
        assert [name for name, _ in server.headers[0]][:3] == [b"host", b"connection", b"upgrade"]
        assert len(server.states) == 2


@pytest.mark.parametrize(
    "line", [b"CONNECT x:1", b"GET http://x", b"GET http://[::1/", b"GET http://x:99999999/", b"GET /\xff"]
)
async def test_an_address_that_has_no_path_is_refused_and_takes_nobody_elses_answer(line: bytes) -> None:
    """The parser takes some that are none. Such a request has no place of its own yet when it is refused."""
    async with serving() as server:
        unknown = line + b" HTTP/1.1\r\nHost: x\r\n\r\n"
        for before in (b"", GET):
            client = await server.client()
            if before:
                await client.send(before)
                assert (await client.answer())[2] == b"hello"
            await client.send(unknown)
            assert await client.refusal() == (400, "not_http")
        behind = await server.client()
        await behind.send(GET.replace(b"/hello", b"/hang") + unknown)
        await until(lambda: server.ended("not_http") == 3)
        server.go_on.set()
        assert (await behind.answer())[2] == b"hello"
        assert await behind.ended() == b""
        assert len(server.states) == 2
