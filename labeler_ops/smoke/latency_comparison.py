"""The latency gate: is one side's p95 worse than the other's by more than a limit, and how sure is that?

Both sides are asked the same in turns, so what disturbs the machine disturbs both; a round is one pass over all calls.
The confidence interval comes from resampling whole rounds: it keeps pairs together, and bursts of noise.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

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

Times: TypeAlias = NDArray[np.float64]
"""By round, call and side."""

Verdict = Literal["pass", "fail", "undecided"]


class Figures(msgspec.Struct, frozen=True):
    """Quantiles of one side. Milliseconds; for all calls together, multiples of each call's median before."""

    p50: float
    p95: float
    p99: float


class LatencyComparison(msgspec.Struct, frozen=True):
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
    overall: LatencyComparison
    calls: list[LatencyComparison]


def judge(rounds: Sequence[Round]) -> Latency:
    """Compare both sides. Fails when all calls together are worse, or a single one surely is.

    For all calls together each latency counts in multiples of its call's median before: otherwise the slowest call
    alone would be the p95.
    """
    names = list(rounds[0])
    times = np.array([[one[name] for name in names] for one in rounds])
    medians = np.median(times[:, :, :1], axis=0)
    overall = _compare(ALL_CALLS, times / medians, _CONFIDENCE)
    calls = [_compare(name, times[:, [place]], _CONFIDENCE_OF_ONE) for place, name in enumerate(names)]
    worse = any(call.verdict == "fail" for call in calls)
    return Latency(len(rounds), "fail" if worse else overall.verdict, overall, calls)


def quantile(values: Sequence[float], share: float) -> float:
    """Interpolate between the two nearest of the values."""
    return float(np.quantile(values, share))


def _compare(name: str, times: Times, confidence: float) -> LatencyComparison:
    """Compare the sides; the interval is from whole rounds, resampled with replacement."""
    chance = np.random.default_rng(_SEED)
    drawn = (times[chance.integers(len(times), size=len(times))] for _ in range(_RESAMPLES))
    changes = [_change(times) for times in drawn]
    tail = (1 - confidence) / 2
    before, after = (Figures(*map(float, np.quantile(times[:, :, side], (0.5, _P95, 0.99)))) for side in (0, 1))
    return LatencyComparison(name, before, after, _change(times), quantile(changes, tail), quantile(changes, 1 - tail))


def _change(times: Times) -> float:
    before, after = np.quantile(times, _P95, axis=(0, 1))
    return float(after / before - 1)
