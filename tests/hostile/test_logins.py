"""A stranger who guesses passwords under forged addresses, and somebody who lists users, while others work."""

import asyncio
import time
from collections import Counter

import httpx
import pytest

from tests.hostile.attacked import Attacked

LOGIN, SEARCH = "/api/v1/auth/login", "/api/v1/users/search"
ATTACKERS = 16
SECONDS = 4.0


@pytest.fixture(scope="module")
def variables() -> dict[str, str]:
    """As behind Railway's edge, which trusted everybody's leftmost address before, with one proxy in between."""
    return {"TRUSTED_PROXIES": "*"}


async def _guess(client: httpx.AsyncClient, number: int, answers: Counter[int]) -> None:
    until, tries = time.monotonic() + SECONDS, 0
    while time.monotonic() < until:
        tries += 1
        forged = f"203.0.{number}.{tries % 250}"
        # The proxy adds what it sees behind whatever was sent.
        headers = {"X-Forwarded-For": f"{forged}, 198.51.100.66", "X-Real-IP": forged, "Forwarded": f"for={forged}"}
        email = "owner@example.com" if number % 2 else f"user{tries}@example.com"
        answer = await client.post(LOGIN, json={"email": email, "password": f"guess {tries}"}, headers=headers)
        answers[answer.status_code] += 1


async def _log_in(client: httpx.AsyncClient, answers: Counter[int]) -> None:
    """The owner of the account that is guessed at, from where they are: as often as people come to work."""
    for _ in range(4):
        await asyncio.sleep(SECONDS / 5)
        body = {"email": "owner@example.com", "password": "owner123"}
        answer = await client.post(LOGIN, json=body, headers={"X-Forwarded-For": "192.0.2.10"})
        answers[answer.status_code] += 1


async def test_forged_addresses_give_no_fresh_tries(attacked: Attacked) -> None:
    guesses: Counter[int] = Counter()
    victim: Counter[int] = Counter()
    async with attacked.bystander(), asyncio.TaskGroup() as group:
        group.create_task(_log_in(attacked.client(), victim))
        for number in range(ATTACKERS):
            group.create_task(_guess(attacked.client(), number, guesses))
    assert set(guesses) <= {401, 429}
    assert guesses[401] <= 60, "as many as a client has in a minute, whatever it calls itself"
    assert guesses[429] > 100, "the attack went on"
    assert set(victim) <= {200, 429}, "429 while all places to check a password are taken"
    assert victim[200] >= 1


async def _search(client: httpx.AsyncClient, number: int, answers: Counter[int]) -> None:
    until, tries = time.monotonic() + SECONDS, number
    while time.monotonic() < until:
        tries += 1
        text = ("example", "ow", ".com", f"a{tries}")[tries % 4]
        answer = await client.get(SEARCH, params={"q": text, "limit": 50})
        answers[answer.status_code] += 1


async def test_a_flood_of_searches_is_one_persons_limit(attacked: Attacked) -> None:
    answers: Counter[int] = Counter()
    log_ins: Counter[int] = Counter()
    async with attacked.bystander(), asyncio.TaskGroup() as group:
        group.create_task(_log_in(attacked.client(), log_ins))
        for number in range(ATTACKERS):
            group.create_task(_search(attacked.client("viewer"), number, answers))
    assert set(answers) == {200, 429}
    assert answers[200] <= 60
    assert log_ins == {200: 4}
