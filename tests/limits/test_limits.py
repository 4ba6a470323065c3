"""Limits in the memory of one process: the waits, what counts, and the bound on what is kept."""

import tracemalloc

import pytest

from labeler_api.errors import TooMany
from labeler_api.limits.counters import LimitStorage, Memory, redis_url
from labeler_api.limits.rate_limits import Limits
from tests.fixtures.users import Clock

CLIENT, ACCOUNT = "192.0.2.1", "owner@example.com"


async def wait(limits: Limits, client: str = CLIENT, account: str = ACCOUNT) -> int:
    """Try, and fail; 0, or the seconds that the try has to wait."""
    try:
        await limits.try_login(client, account)
    except TooMany as refusal:
        return refusal.retry_after or -1
    return 0


@pytest.fixture
def limits(clock: Clock) -> Limits:
    return Limits(LimitStorage(clock=clock))


async def test_after_five_failures_the_wait_doubles_up_to_a_quarter_of_an_hour(limits: Limits, clock: Clock) -> None:
    assert [await wait(limits) for _ in range(5)] == [0] * 5
    waits = []
    for _ in range(7):
        waits.append(await wait(limits))
        for _ in range(20):  # whoever hammers meanwhile waits no longer for it
            assert await wait(limits) == waits[-1]
        clock.now += waits[-1] - 0.5
        assert await wait(limits) == 1
        clock.now += 1.0
        assert await wait(limits) == 0
    assert waits[:6] == [60, 120, 240, 480, 900, 900]


async def test_nobody_is_locked_out_by_others(limits: Limits) -> None:
    while not await wait(limits):
        pass
    assert await wait(limits, "198.51.100.7") == 0, "the owner of the account, from elsewhere"
    assert await wait(limits, CLIENT, "viewer@example.com") == 0, "a colleague in the same office"
    assert await wait(limits, CLIENT, ACCOUNT.upper()) > 0


async def test_a_success_ends_the_wait(limits: Limits, clock: Clock) -> None:
    while not await wait(limits):
        pass
    clock.now += 61
    await (await limits.try_login(CLIENT, ACCOUNT)).succeeded()
    assert [await wait(limits) for _ in range(5)] == [0] * 5
    assert await wait(limits) == 60


async def test_a_try_that_nobody_judged_counts_for_nothing(limits: Limits, clock: Clock) -> None:
    for _ in range(200):
        await (await limits.try_login(CLIENT, ACCOUNT)).not_judged()
    assert [await wait(limits) for _ in range(5)] == [0] * 5
    clock.now += 61
    for _ in range(200):  # after five failures each of these would begin a wait
        await (await limits.try_login(CLIENT, ACCOUNT)).not_judged()
    assert await wait(limits, CLIENT, "viewer@example.com") == 0


async def test_a_client_has_sixty_tries_a_minute(limits: Limits, clock: Clock) -> None:
    assert [await wait(limits, account=f"{n}@example.com") for n in range(60)] == [0] * 60
    assert await wait(limits) == 60
    assert await wait(limits, "198.51.100.7") == 0
    clock.now += 60
    assert await wait(limits) == 0


async def test_whoever_has_a_network_of_addresses_is_one_client(limits: Limits) -> None:
    assert [await wait(limits, f"2001:db8:1:2::{n:x}") for n in range(5)] == [0] * 5
    assert await wait(limits, "2001:db8:1:2:3:4:5:6") == 60
    assert await wait(limits, "2001:db8:1:3::1") == 0


async def test_strangers_cannot_fill_the_memory(clock: Clock) -> None:
    memory = Memory(most_keys=1000, clock=clock)
    tracemalloc.start()
    try:
        for n in range(5_000):
            await memory.incr(f"{n:032x}", 3600)
        first = tracemalloc.get_traced_memory()[0]
        for n in range(5_000, 30_000):
            await memory.incr(f"{n:032x}", 3600)
        growth = tracemalloc.get_traced_memory()[0] - first
    finally:
        tracemalloc.stop()
    assert len(memory) == 1000
    assert growth < 100_000
    assert await memory.get(f"{29_999:032x}") == 1, "who was seen last is known"


async def test_keys_have_one_size_whatever_was_sent(limits: Limits) -> None:
    await wait(limits, CLIENT, "x" * 10_000)
    assert {len(key) for key in limits._storage.memory._kept} == {32}


async def test_what_is_forgotten_leaves_nothing(limits: Limits, clock: Clock) -> None:
    for n in range(100):
        await wait(limits, account=f"{n}@example.com")
    clock.now += 3601
    await wait(limits, "198.51.100.7")
    assert len(limits._storage.memory) <= 3


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("redis://h:6379/1", "redis://h:6379/1"),
        ("valkey://u:p@h", "redis://u:p@h"),
        ("valkeys://h", "rediss://h"),
        ("rediss://h", "rediss://h"),
    ],
)
def test_redis_and_valkey_are_one_to_the_client(given: str, known: str) -> None:
    assert redis_url(given) == known
