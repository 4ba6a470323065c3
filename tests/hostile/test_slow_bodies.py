"""Bodies that come slowly, in crumbs, or in more wrapping than content."""

import asyncio

import pytest

from tests.hostile.attacked import Attacked
from tests.hostile.wire import wires

CLIENTS = 100


@pytest.fixture(scope="module")
def variables() -> dict[str, str]:
    return {"API_SLOW_SECONDS": "3"}


def post(path: str, token: str, kind: str, framing: str) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: {kind}\r\n{framing}\r\n\r\n"
    )
    return head.encode()


async def test_bodies_that_trickle_are_ended(attacked: Attacked) -> None:
    dataset = await attacked.api.dataset(owner="owner")
    token = attacked.token("owner")
    heads = [
        post("/api/v1/datasets", token, "application/json", "Content-Length: 100000"),
        post("/api/v1/datasets", token, "application/json", "Transfer-Encoding: chunked"),
        post(
            f"/api/v1/datasets/{dataset.id}/images",
            token,
            "multipart/form-data; boundary=b",
            "Content-Length: 1000000000",
        ),
        post("/api/v1/auth/login", "none", "application/json", "Content-Length: 1000\r\nExpect: 100-continue"),
    ]
    async with attacked.bystander(), wires(attacked.url, CLIENTS) as attackers:
        for number, attacker in enumerate(attackers):
            attacker.writer.write(heads[number % 4])
            await asyncio.sleep(0.005)

        async def trickle() -> None:
            for _ in range(30):
                for number, attacker in enumerate(attackers):
                    attacker.writer.write(b"1\r\n \r\n" if number % 4 == 1 else b" ")
                await asyncio.sleep(0.5)

        trickling = asyncio.create_task(trickle())
        answers = await asyncio.gather(*(attacker.ended(30) for attacker in attackers))
        trickling.cancel()
    # A reset may take the answer from a client that goes on sending; most get it.
    assert sum(b"408" in answer for answer in answers) >= CLIENTS // 2
    assert all(b" 408 " in answer or answer in {b"", b"HTTP/1.1 100 Continue\r\n\r\n"} for answer in answers)


@pytest.mark.parametrize(
    "piece",
    [
        b"1\r\n \r\n" * 10_000,
        b"1;" + b"e" * 65_536,
        (b"1;" + b"e" * 500 + b"\r\n \r\n") * 100,
        b"0\r\nt: " + b"t" * 65_536,
    ],
    ids=["crumbs", "an extension", "extensions", "a trailer"],
)
async def test_chunks_of_mostly_wrapping(attacked: Attacked, piece: bytes) -> None:
    head = post("/api/v1/auth/login", "none", "application/json", "Transfer-Encoding: chunked")
    async with attacked.bystander(), wires(attacked.url, 8) as attackers:
        for attacker in attackers:
            attacker.writer.write(head)
        sent = await asyncio.gather(*(attacker.flood(piece, 32 * 2**20) for attacker in attackers))
    assert max(sent) < 32 * 2**20
