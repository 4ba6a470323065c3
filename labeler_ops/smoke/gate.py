"""The latency gate: is one side's p95 worse than the other's by more than a limit, and how sure is that?

Both sides are asked the same in turns, so what disturbs the machine disturbs both; a round is one pass over all calls.
The confidence interval comes from resampling whole rounds: it keeps pairs together, and bursts of noise.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

LIMIT = 0.10
"""The p95 may be worse by this much."""

ALL_CALLS = "all calls"
_P95 = 0.95
_RESAMPLES = 1000
_CONFIDENCE = 0.95
# Many calls are looked at one by one, so each has to be surer than the whole to count as worse.
_CONFIDENCE_OF_ONE = 0.995
_SEED = 1  # the same samples give the same verdict

Round: TypeAlias = Mapping[str, tuple[float, float]]
"""By call: milliseconds before, milliseconds after."""

Verdict = Literal["pass", "fail", "undecided"]


class Figures(msgspec.Struct, frozen=True):
    """Quantiles of one side. Milliseconds; for all calls together, multiples of each call's median before."""

    p50: float
    p95: float
    p99: float


class Comparison(msgspec.Struct, frozen=True):
    """One call on both sides. `change` of the p95 is 0.1 for 10 % worse; it lies between `low` and `high`."""

    name: str
    before: Figures
    after: Figures
    change: float
    low: float
    high: float

    @property
    def verdict(self) -> Verdict:
        """What the interval says of the limit."""
        if self.high <= LIMIT:
            return "pass"
        return "fail" if self.low > LIMIT else "undecided"


class Latency(msgspec.Struct, frozen=True):
    """The result of all rounds."""

    rounds: int
    verdict: Verdict
    overall: Comparison
    calls: list[Comparison]


def judge(rounds: Sequence[Round]) -> Latency:
    """Compare both sides. Fails when all calls together are worse, or a single one surely is.

    For all calls together each latency counts in multiples of its call's median before: otherwise the slowest call
    alone would be the p95.
    """
    names = list(rounds[0])
    medians = {name: quantile(sorted(one[name][0] for one in rounds), 0.5) for name in names}
    scaled = [[(one[name][0] / medians[name], one[name][1] / medians[name]) for name in names] for one in rounds]
    overall = _compare(ALL_CALLS, scaled, _CONFIDENCE)
    calls = [_compare(name, [[one[name]] for one in rounds], _CONFIDENCE_OF_ONE) for name in names]
    worse = any(call.verdict == "fail" for call in calls)
    return Latency(len(rounds), "fail" if worse else overall.verdict, overall, calls)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Interpolate between the two nearest of the values, which are sorted."""
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _compare(name: str, rounds: Sequence[Sequence[tuple[float, float]]], confidence: float) -> Comparison:
    before, after = (sorted(pair[side] for one in rounds for pair in one) for side in (0, 1))
    changes = sorted(_resampled_changes(rounds))
    tail = (1 - confidence) / 2
    change = quantile(after, _P95) / quantile(before, _P95) - 1
    return Comparison(
        name, _figures(before), _figures(after), change, quantile(changes, tail), quantile(changes, 1 - tail)
    )


def _resampled_changes(rounds: Sequence[Sequence[tuple[float, float]]]) -> Iterator[float]:
    """The change of the p95 in each resample of whole rounds.

    Values are sorted once and counted from the top with each round's weight: a p95 looks at five per cent of them.
    """
    chance = random.Random(_SEED)  # noqa: S311 - statistics
    numbers = range(len(rounds))
    sides = [
        sorted(((pair[side], number) for number in numbers for pair in rounds[number]), reverse=True) for side in (0, 1)
    ]
    rank = (1 - _P95) * (len(sides[0]) - 1)
    for _ in range(_RESAMPLES):
        weights = Counter(chance.choices(numbers, k=len(rounds)))
        before, after = (_from_the_top(side, weights, rank) for side in sides)
        yield after / before - 1


def _from_the_top(descending: Sequence[tuple[float, int]], weights: Mapping[int, int], rank: float) -> float:
    """Interpolate at a rank counted from the greatest value, each value as often as its round was drawn."""
    seen, upper = 0, None
    for value, number in descending:
        seen += weights.get(number, 0)
        if upper is None and seen > rank:
            upper = value
        if upper is not None and seen > int(rank) + 1:
            return upper + (value - upper) * (rank - int(rank))
    return descending[-1][0] if upper is None else upper


def _figures(ordered: Sequence[float]) -> Figures:
    return Figures(quantile(ordered, 0.5), quantile(ordered, _P95), quantile(ordered, 0.99))
