"""What became of a move, read from its journal: `report.json` for programs, `report.txt` and `.html` for people."""

from collections.abc import Sequence
from datetime import datetime
from io import StringIO
from typing import Any, TypeVar

import msgspec
from rich.console import Console
from rich.table import Table

from labeler_ops.database.upgrade_report import UpgradeReport
from labeler_ops.database.verify.equality import DatabaseComparison
from labeler_ops.move import write_downtime
from labeler_ops.move.rows import upgrading
from labeler_ops.runs import Event, Run
from labeler_ops.storage.object_findings import StoreComparison

_T = TypeVar("_T")

COMPARISON = "verify.report.json"
COMPARISON_BACK = "verify-back.report.json"
"""Where a run keeps its comparisons of the rows."""
OBJECTS, OBJECTS_BACK = "verify.json", "verify-back.json"
"""Where it keeps those of the objects."""

_WIDTH = 120  # of the readable report, characters
# The last of these that has ended says how far a run has come.
_ENDS = {
    "finalize": "final",
    "rollback": "rolled back",
    "back: switch": "going back, not open",
    "open": "open",
    "switch": "switched, not open",
}


class PhaseReport(msgspec.Struct, frozen=True):
    """One phase as it went last: `state` is ended, failed or cut off; `attempts` counts its beginnings."""

    name: str
    state: str
    began: str
    seconds: float | None
    attempts: int
    facts: dict[str, Any]


class WriteStop(msgspec.Struct, frozen=True):
    """A stretch in which nobody could write: RFC 3339 in UTC; `until` is None while it lasts."""

    since: str
    until: str | None

    @property
    def seconds(self) -> float | None:
        """How long it was."""
        if self.until is None:
            return None
        return round((datetime.fromisoformat(self.until) - datetime.fromisoformat(self.since)).total_seconds(), 1)


class MoveReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole move. `stops` are the stretches without writes, `seconds_without_writes` the first one's length.

    `comparison` and `objects` are the last of their kind, of the way back where there was one.
    """

    run: str
    source: str | None
    target: str | None
    source_store: str | None
    target_store: str | None
    plan: dict[str, Any]
    state: str
    phases: list[PhaseReport]
    stops: list[WriteStop]
    seconds_without_writes: float | None
    same: bool | None
    differences: list[str]
    comparison: DatabaseComparison | None
    objects: StoreComparison | None
    upgrade: UpgradeReport | None


def write(run: Run) -> MoveReport:
    """Write the three files of a run, and give what they say."""
    from labeler_ops.move.html_report import render  # it takes its time to load

    report = read(run)
    run.write("report.json", report)
    run.path("report.txt").write_text(text(report))
    run.path("report.html").write_text(render(report))
    return report


def read(run: Run) -> MoveReport:
    """Read a run's journal and its comparisons."""
    rows = _last(run, DatabaseComparison, COMPARISON_BACK, COMPARISON)
    objects = _last(run, StoreComparison, OBJECTS_BACK, OBJECTS)
    told = [one for one in (rows, objects) if one is not None]
    stops = [WriteStop(*stretch) for stretch in write_downtime.stretches(run)]
    places = ("source", "target", "source_store", "target_store")
    return MoveReport(
        run=run.id,
        **{name: run.facts.get(name) for name in places},
        plan=run.facts.get("plan", {}),
        state=_state(run),
        phases=_phases(run.events),
        stops=stops,
        seconds_without_writes=stops[0].seconds if stops else None,
        same=all(one.same for one in told) if told else None,
        differences=(rows.lines() if rows else [])
        + [str(one) for one in (objects.findings if objects else []) if one.serious],
        comparison=rows,
        objects=objects,
        upgrade=upgrading.read(run),
    )


def _last(run: Run, kind: type[_T], *names: str) -> _T | None:
    """Read the first of these files that is there."""
    found = next((path for path in map(run.path, names) if path.is_file()), None)
    return msgspec.json.decode(found.read_bytes(), type=kind) if found else None


def _state(run: Run) -> str:
    reached = next((said for phase, said in _ENDS.items() if run.ended(phase) is not None), "the old side serves")
    last = next((event for event in reversed(run.events) if event.event != "noted"), None)
    if last is None or last.event == "ended":
        return reached
    return f"{reached}; {'stopped at' if last.event == 'failed' else 'at work on, or cut off at,'} {last.phase}"


def _phases(events: Sequence[Event]) -> list[PhaseReport]:
    names = dict.fromkeys(event.phase for event in events if event.event == "started")
    return [_phase(name, [event for event in events if event.phase == name]) for name in names]


def _phase(name: str, events: Sequence[Event]) -> PhaseReport:
    starts = [event for event in events if event.event == "started"]
    last = [event for event in events if event.event != "noted"][-1]
    state = "cut off" if last.event == "started" else last.event
    return PhaseReport(name, state, starts[-1].at, last.seconds, len(starts), last.facts)


def text(report: MoveReport) -> str:
    """Spell a report for people."""
    console = Console(file=(written := StringIO()), width=_WIDTH, color_system=None, soft_wrap=True, highlight=False)
    for source, target in ((report.source, report.target), (report.source_store, report.target_store)):
        if source:
            console.print(f"move {report.run}: {source} to {target}: {report.state}", markup=False)
    grid = Table(box=None, pad_edge=False)
    for title in ("phase", "state", "began", "seconds", "attempts"):
        grid.add_column(title, justify="right" if title in {"seconds", "attempts"} else "left", no_wrap=True)
    for phase in report.phases:
        seconds = "" if phase.seconds is None else f"{phase.seconds:,.1f}"
        grid.add_row(phase.name, phase.state, phase.began[:19].replace("T", " "), seconds, str(phase.attempts))
    console.print(grid)
    for phase in report.phases:
        if error := phase.facts.get("error"):
            console.print(f"{phase.name}: {error}", markup=False)
    for stretch in report.stops:
        said = "until now" if stretch.seconds is None else f"for {stretch.seconds:,.1f} s"
        console.print(f"nobody could write {said}")
    for compared in (report.comparison, report.objects):
        if compared:
            compared.show(console)
    if report.upgrade:
        console.print(f"upgrade from {report.upgrade.before} to {report.upgrade.after}:", markup=False)
        for line in upgrading.lines(report.upgrade):
            console.print(f"  {line}", markup=False)
    return written.getvalue()
