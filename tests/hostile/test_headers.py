"""Headers without an end: in size, in number, in time, and one behind the other."""

import asyncio

import pytest

from tests.hostile.attacked import Attacked
from tests.hostile.wire import wires

MEBIBYTE = 2**20
CLIENTS = 16
START = b"GET /health HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def variables() -> dict[str, str]:
    return {"API_HEADER_SECONDS": "2"}


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (START + b"Cookie: ", b"c" * 65536),
        (START, b"n" * 65536),
        (b"GET /", b"u" * 65536),
        (START, b"a: b\r\n" * 10_000),
        (b"", b"\r\n" * 32_768),
        (b"", b"GET /health HTTP/1.1\r\n\r\n" * 2_000),
    ],
    ids=["value", "name", "url", "fields", "empty lines", "pipelined"],
)
async def test_a_header_without_an_end(attacked: Attacked, first: bytes, piece: bytes) -> None:
    async with attacked.bystander(), wires(attacked.url, CLIENTS) as attackers:
        for attacker in attackers:
            attacker.writer.write(first)
        sent = await asyncio.gather(*(attacker.flood(piece, 32 * MEBIBYTE) for attacker in attackers))
    # The kernel takes some megabytes that the server never reads.
    assert max(sent) < 32 * MEBIBYTE


async def test_headers_that_never_come(attacked: Attacked) -> None:
    """600 connections: a third silent, a third in the middle of a header, a third sending a byte now and then."""
    async with attacked.bystander(), wires(attacked.url, 600) as attackers:
        for number, attacker in enumerate(attackers):
            attacker.writer.write(START if number % 3 else b"")

        async def trickle() -> None:
            for _ in range(8):
                for attacker in attackers[2::3]:
                    attacker.writer.write(b"a")
                await asyncio.sleep(0.5)

        trickling = asyncio.create_task(trickle())
        answers = await asyncio.gather(*(attacker.ended(20) for attacker in attackers))
        await trickling
    assert {answer[:12] for answer in answers[::3]} == {b""}
    assert {answer[:12] for answer in answers[1::3]} == {b"HTTP/1.1 408"}
