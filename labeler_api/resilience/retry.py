"""Tries of what may fail for a moment and harms nothing when it is done twice."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from labeler_api.errors import Unavailable

T = TypeVar("T")

# Of a store, whose SDK makes each try twice: where one request in five fails, four tries fail once in 400 000 times.
_TRIES = 4
_WAIT_SECONDS = 0.2  # before the second try; then twice as long each time, less up to a half, for chance


async def retry_while_unavailable(attempt: Callable[[], Awaitable[T]]) -> T:
    """Return what `attempt` returns; after Unavailable try again, for a second and a half. Raises Unavailable."""
    for number in range(_TRIES - 1):
        try:
            return await attempt()
        except Unavailable:
            await asyncio.sleep(_WAIT_SECONDS * 2**number * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
    return await attempt()
