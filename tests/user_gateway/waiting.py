"""Waiting for something to become true, with a deadline instead of a sleep."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic


async def until(condition: Callable[[], Awaitable[bool]], seconds: float, what: str) -> float:
    """Poll until the condition holds; return the seconds it took, fail after `seconds`."""
    started = monotonic()
    while not await condition():
        if monotonic() - started > seconds:
            raise AssertionError(f"{what}: not within {seconds} s")
        await asyncio.sleep(0.02)
    return monotonic() - started
