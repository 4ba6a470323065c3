"""Connections without an end: from one client, and from many."""

import asyncio

import pytest

from tests.hostile.attacked import Attacked
from tests.hostile.wire import wires

PER_CLIENT, TOTAL = 100, 250
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def variables() -> dict[str, str]:
    return {"API_MAX_CONNECTIONS": str(TOTAL), "API_MAX_CONNECTIONS_PER_CLIENT": str(PER_CLIENT)}


async def test_one_client_takes_its_share_and_no_more(attacked: Attacked) -> None:
    async with attacked.bystander(), wires(attacked.url, 1000) as attackers:
        for attacker in attackers:
            attacker.writer.write(HEALTH)
        firsts = await asyncio.gather(*(attacker.reader.read(12) for attacker in attackers), return_exceptions=True)
        assert firsts.count(b"HTTP/1.1 200") == PER_CLIENT
        assert firsts.count(b"HTTP/1.1 503") >= 256


async def test_many_clients_take_what_there_is_and_who_is_connected_works_on(attacked: Attacked) -> None:
    async with attacked.bystander() as seen:
        for number in range(2, 12):
            async with wires(attacked.url, 60, address=f"127.0.0.{number}") as attackers:
                for attacker in attackers:
                    attacker.writer.write(HEALTH)
                firsts = [await attacker.reader.read(12) for attacker in attackers]
                assert set(firsts) <= {b"HTTP/1.1 200", b"HTTP/1.1 503"}
    assert seen.failures["health"] == []
