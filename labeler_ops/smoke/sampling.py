"""Taking the times of the same calls on two sides, in turns."""

import random
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import TypeAlias

from labeler_ops.smoke.latency_comparison import Round

Call: TypeAlias = Callable[[], Awaitable[object]]


async def one_round(before: Mapping[str, Call], after: Mapping[str, Call], chance: random.Random) -> Round:
    """Make each call once on either side, in an order by chance: neither side is always the first to be asked."""
    names = chance.sample(list(before), len(before))
    times: dict[str, tuple[float, float]] = {}
    for name in names:
        if chance.random() < 0.5:  # noqa: PLR2004 - a coin
            first = await _milliseconds(before[name])
            times[name] = (first, await _milliseconds(after[name]))
        else:
            second = await _milliseconds(after[name])
            times[name] = (await _milliseconds(before[name]), second)
    return {name: times[name] for name in before}


async def _milliseconds(call: Call) -> float:
    started = perf_counter()
    await call()
    return (perf_counter() - started) * 1000
