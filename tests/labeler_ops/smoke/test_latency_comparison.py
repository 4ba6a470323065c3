"""The latency gate on samples whose truth is known."""

import random

import pytest

from labeler_ops.smoke.latency_comparison import LIMIT, Round, judge, quantile

CALLS = {"me": 2.0, "images": 5.0, "annotations": 12.0, "save": 8.0}


def samples(rounds: int, *, noise: float, factors: dict[str, float] | None = None, seed: int = 7) -> list[Round]:
    """Skewed latencies as servers have, with bursts that hit both sides of a round."""
    chance = random.Random(seed)
    made: list[Round] = []
    for _ in range(rounds):
        burst = 3.0 if chance.random() < 0.02 else 1.0
        made.append(
            {
                name: (
                    usual * burst * chance.lognormvariate(0, noise),
                    usual * burst * chance.lognormvariate(0, noise) * (factors or {}).get(name, 1.0),
                )
                for name, usual in CALLS.items()
            }
        )
    return made


def everything(factor: float) -> dict[str, float]:
    return dict.fromkeys(CALLS, factor)


def test_equal_sides_pass() -> None:
    latency = judge(samples(400, noise=0.2))
    assert latency.verdict == "pass"
    assert latency.overall.low < 0 < latency.overall.high < LIMIT


def test_a_side_that_is_twenty_per_cent_slower_fails() -> None:
    latency = judge(samples(400, noise=0.2, factors=everything(1.2)))
    assert latency.verdict == "fail"
    assert latency.overall.low < 0.2 < latency.overall.high
    assert latency.overall.change == pytest.approx(0.2, abs=0.07)


def test_a_faster_side_passes() -> None:
    assert judge(samples(200, noise=0.3, factors=everything(0.7))).verdict == "pass"


def test_too_few_rounds_or_too_much_noise_decide_nothing() -> None:
    assert judge(samples(12, noise=0.8)).verdict == "undecided"
    assert judge(samples(40, noise=0.2, factors=everything(1.1))).verdict == "undecided"


def test_one_call_that_is_surely_worse_fails_although_the_whole_does_not_show_it() -> None:
    latency = judge(samples(400, noise=0.2, factors={"me": 1.6}))
    assert [call.name for call in latency.calls if call.verdict == "fail"] == ["me"]
    assert latency.verdict == "fail"


def test_a_slower_tail_is_seen_where_the_median_is_the_same() -> None:
    rounds = samples(400, noise=0.1)
    chance = random.Random(3)
    slowed = [
        {name: (a, b * (2.5 if chance.random() < 0.12 else 1.0)) for name, (a, b) in one.items()} for one in rounds
    ]
    latency = judge(slowed)
    assert latency.overall.after.p50 == pytest.approx(latency.overall.before.p50, rel=0.05)
    assert latency.verdict == "fail"


def test_the_same_samples_give_the_same_verdict() -> None:
    assert judge(samples(50, noise=0.5)) == judge(samples(50, noise=0.5))


def test_the_gate_is_seldom_wrong_about_equal_sides() -> None:
    verdicts = [judge(samples(60, noise=0.3, seed=seed)).verdict for seed in range(8)]
    assert "fail" not in verdicts


def test_quantiles_are_interpolated() -> None:
    assert quantile([1.0, 2.0, 3.0, 4.0, 5.0], 0.5) == 3.0
    assert quantile([0.0, 10.0], 0.95) == pytest.approx(9.5)
    assert quantile([4.0], 0.99) == 4.0
