"""`report.html`: what became of a move, as one page without scripts that can be printed and passed on."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from labeler_ops.move.move_report import MoveReport, PhaseReport, WriteStop

_NEXT = {
    "final": ["Keep the backup of the run. The source may be archived or dropped."],
    "rolled back": [
        "Set the variables of environment.rollback on every service, and deploy, where that has not been done yet.",
        "Move again with a new run and an empty target.",
    ],
    "open": [
        "Fill in what images lack, where the backfill was not a part of this run: labeler images backfill",
        "See whether anything is deleted in the buckets: labeler storage check. If not: labeler storage adopt",
        "The way back, until it is given up: labeler move rollback --run {run}",
        "Days later, when nobody wants to go back: labeler move finalize --run {run}",
    ],
    "switched, not open": [
        "Set the variables of environment.new on every service, and deploy, where no command did.",
        "labeler smoke --url https://… --email … --read-only",
        "labeler move open --run {run}",
        "The way back: labeler move rollback --run {run}",
    ],
    "going back, not open": ["labeler move rollback --run {run} goes on with the way back."],
    "the old side serves": [
        "Mend what it stopped at, where it did: labeler move resume --run {run}",
        "Or give it up: labeler move rollback --run {run}",
    ],
}


class Bar(msgspec.Struct, frozen=True):
    """A phase or a stop on the time line: where it begins and how long it is, in hundredths of the whole."""

    left: float
    width: float


def render(report: MoveReport) -> str:
    """Spell the page. Whatever comes from a database or a store is escaped."""
    return _ENVIRONMENT.get_template("report.html.j2").render(
        report=report,
        bars=_bars([*report.phases, *report.stops]),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        grants=_fact(report, "roles"),
        next=[line.format(run=report.run) for line in _NEXT[report.state.partition(";")[0]]],
        zone=report.plan.get("legacy_timezone", "UTC"),
    )


def _bars(spans: Sequence[PhaseReport | WriteStop]) -> list[Bar]:
    if not spans:
        return []
    ends = [_ends(span) for span in spans]
    begin, end = min(first for first, _ in ends), max(last for _, last in ends)
    whole = max((end - begin).total_seconds(), 0.001)
    return [
        Bar(
            round((first - begin).total_seconds() / whole * 100, 2),
            round(max((last - first).total_seconds() / whole * 100, 0.3), 2),
        )
        for first, last in ends
    ]


def _ends(span: PhaseReport | WriteStop) -> tuple[datetime, datetime]:
    if isinstance(span, WriteStop):
        since = datetime.fromisoformat(span.since)
        return since, datetime.fromisoformat(span.until) if span.until else datetime.now(UTC)
    began = datetime.fromisoformat(span.began)
    return began, began + timedelta(seconds=span.seconds or 0.0)


def _fact(report: MoveReport, phase: str) -> dict[str, Any]:
    return next((one.facts for one in reversed(report.phases) if one.name.removeprefix("back: ") == phase), {})


def _time(at: str) -> str:
    return at[11:19]


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:,.1f} s"


_ENVIRONMENT = Environment(
    loader=PackageLoader("labeler_ops.move", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_ENVIRONMENT.filters.update(time=_time, seconds=_seconds)
