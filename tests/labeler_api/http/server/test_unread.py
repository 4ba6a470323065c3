"""Answers that nobody reads, and those that are read slowly."""

import asyncio

from labeler_api.http.server.connections import Bounds
from tests.fixtures.waiting import until
from tests.labeler_api.http.server.bare_server import GET, Client, serving

KIBIBYTE = 1024
LARGE = GET.replace(b"/hello", b"/large")
BOUNDS = Bounds(window_seconds=5, answer_bytes=128 * KIBIBYTE)


async def take(client: Client, size: int) -> None:
    while size > 0:
        chunk = await client.reader.read(min(size, 65536))
        assert chunk, "the server ended it"
        size -= len(chunk)
        await asyncio.sleep(0)


async def test_a_client_that_reads_nothing_is_ended() -> None:
    async with serving(BOUNDS) as server:
        client = await server.client(receive_bytes=4096)
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(LARGE)
        await until(lambda: len(server.states) == 1)
        await asyncio.sleep(0.3)
        await server.pass_seconds(7)
        await until(lambda: len(server.connections) == 0)
        assert server.ended("answer_unread") == 1
        assert server.states[0]["ended"] == "answer_unread"


async def test_a_whole_answer_that_waits_in_memory_does_not_wait_for_ever() -> None:
    """The application is done and the connection idle: the bytes would wait for as long as the client likes."""
    async with serving(BOUNDS) as server:
        server.large_bytes = 8 * 1024 * KIBIBYTE
        client = await server.client(receive_bytes=4096)
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        server.in_one_piece = True
        await client.send(LARGE)
        await until(lambda: server.answered == 1)
        await asyncio.sleep(0.3)
        await server.pass_seconds(7)
        await until(lambda: len(server.connections) == 0)
        assert server.ended("answer_unread") == 1


async def test_a_slow_reader_is_served_however_long_it_takes() -> None:
    """256 KiB in each window, which is far less than one step in which the kernel's buffer empties."""
    async with serving(BOUNDS) as server:
        server.large_bytes = 6 * 1024 * KIBIBYTE
        client = await server.client(receive_bytes=64 * KIBIBYTE)
        await client.send(LARGE)
        assert (await client.head())[0] == 200
        left = server.large_bytes
        while left > 0:
            step = min(left, 256 * KIBIBYTE)
            await take(client, step)
            left -= step
            await asyncio.sleep(0.02)
            await server.pass_seconds(5)
        assert server.ended("answer_unread") == 0
