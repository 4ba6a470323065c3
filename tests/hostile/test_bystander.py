"""The watch itself: it passes on a system that nobody attacks, and sees what it is there to see."""

import asyncio

import pytest

from tests.hostile.attacked import Attacked


async def test_a_system_that_nobody_attacks_passes(attacked: Attacked) -> None:
    async with attacked.bystander() as seen:
        await asyncio.sleep(2)
    assert len(seen.seconds["move a box"]) >= 5


async def test_a_process_that_stands_still_is_seen(attacked: Attacked) -> None:
    async with attacked.bystander(check=False) as seen:
        attacked.process.pause()
        await asyncio.sleep(2)
        attacked.process.resume()
        await asyncio.sleep(0.5)
    with pytest.raises(AssertionError, match="a bare server needed"):
        seen.check()
