"""The picture of a comparison: how latencies are spread on both sides, and each call's change with its interval."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labeler_ops.smoke.latency_comparison import LIMIT, Latency, Round, quantile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BEFORE, _AFTER, _BAD = "#4878a8", "#e08030", "#c03030"
_SHOWN_UP_TO = 0.995  # a single outlier would press the rest against the axis


def draw(path: Path, rounds: Sequence[Round], latency: Latency) -> None:
    """Write a PNG. Raises ModuleNotFoundError without matplotlib, which only this needs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6), layout="constrained")
    FigureCanvasAgg(figure)
    spread, changes = figure.subplots(1, 2)
    _draw_spread(spread, rounds)
    _draw_changes(changes, latency)
    figure.suptitle(f"{latency.verdict}: p95 {latency.overall.change:+.1%}, {latency.rounds} rounds")
    figure.savefig(path, dpi=100)


def _draw_spread(axes: "Axes", rounds: Sequence[Round]) -> None:
    medians = {name: quantile(sorted(one[name][0] for one in rounds), 0.5) for name in rounds[0]}
    for side, (label, colour) in enumerate((("before", _BEFORE), ("after", _AFTER))):
        values = sorted(one[name][side] / medians[name] for one in rounds for name in medians)
        shares = [(number + 1) / len(values) for number in range(len(values))]
        axes.step(values, shares, where="post", label=label, color=colour)
        axes.axvline(quantile(values, 0.95), color=colour, linestyle=":", linewidth=1)
        axes.set_xlim(0, max(axes.get_xlim()[1] if side else 0, quantile(values, _SHOWN_UP_TO)))
    axes.set_xlabel("latency, in multiples of the call's median before (dotted: p95)")
    axes.set_ylabel("share of the requests")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")


def _draw_changes(axes: "Axes", latency: Latency) -> None:
    shown = [latency.overall, *latency.calls]
    for place, one in enumerate(shown):
        colour = _BAD if one.verdict == "fail" else _AFTER
        axes.plot([one.low * 100, one.high * 100], [place, place], color=colour, linewidth=2)
        axes.plot([one.change * 100], [place], "o", color=colour)
    axes.axvline(0, color="gray", linewidth=1)
    axes.axvline(LIMIT * 100, color=_BAD, linestyle="--", linewidth=1)
    axes.set_yticks(range(len(shown)), [one.name for one in shown])
    axes.invert_yaxis()
    axes.set_xlabel("change of the p95, per cent, with its interval (dashed: the limit)")
    axes.grid(axis="x", alpha=0.3)
