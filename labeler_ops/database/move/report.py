"""What became of a move, read from its journal: `report.json` for programs, `report.txt` for people."""

from collections.abc import Sequence
from datetime import datetime
from io import StringIO
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from labeler_ops.database.move import upgrading
from labeler_ops.database.report import UpgradeReport
from labeler_ops.database.verify.report import Report
from labeler_ops.runs import Event, Run

COMPARISON = "verify.report.json"
"""Where a run keeps its comparison."""

_WIDTH = 120  # of the readable report, characters
# The last of these that has ended says how far a run has come.
_ENDS = {"finalize": "final", "rollback": "rolled back", "open": "open", "switch": "switched, not open"}


class PhaseReport(msgspec.Struct, frozen=True):
    """One phase as it went last: `state` is ended, failed or cut off; `attempts` counts its beginnings."""

    name: str
    state: str
    began: str
    seconds: float | None
    attempts: int
    facts: dict[str, Any]


class MoveReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole move. `seconds_without_writes` is from the fence's building to the opening, None while it lasts."""

    run: str
    kind: str
    source: str
    target: str
    state: str
    phases: list[PhaseReport]
    seconds_without_writes: float | None
    same: bool | None
    differences: list[str]
    comparison: Report | None
    upgrade: UpgradeReport | None

    def done(self) -> list[str]:
        """Name the phases that have ended."""
        return [phase.name for phase in self.phases if phase.state == "ended"]


def write(run: Run) -> MoveReport:
    """Write both files of a run, and give what they say."""
    report = read(run)
    run.write("report.json", report)
    run.path("report.txt").write_text(_text(report))
    return report


def read(run: Run) -> MoveReport:
    """Read a run's journal and its comparison."""
    comparison = _comparison(run)
    return MoveReport(
        run=run.id,
        kind="rollback" if "back_from" in run.facts else "move",
        source=str(run.facts.get("source")),
        target=str(run.facts.get("target")),
        state=_state(run),
        phases=_phases(run.events),
        seconds_without_writes=_without_writes(run),
        same=comparison.same if comparison else None,
        differences=comparison.lines() if comparison else [],
        comparison=comparison,
        upgrade=upgrading.read(run),
    )


def _comparison(run: Run) -> Report | None:
    path = run.path(COMPARISON)
    return msgspec.json.decode(path.read_bytes(), type=Report) if path.is_file() else None


def _state(run: Run) -> str:
    reached = next((said for phase, said in _ENDS.items() if run.ended(phase) is not None), "the source serves")
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


def _without_writes(run: Run) -> float | None:
    ends = [event for event in run.events if event.phase in {"open", "rollback"} and event.event == "ended"]
    if not ends:
        return None
    before = [event for event in run.events[: run.events.index(ends[0])] if event.event == "started"]
    # The fence of a dump stands from its first attempt on; a stand-still that failed let users write again.
    fenced = [event for event in before if event.phase == "maintenance"][:1]
    fenced += [event for event in before if event.phase == "stand-still"][-1:]
    if not fenced:
        return None
    return round((datetime.fromisoformat(ends[0].at) - datetime.fromisoformat(fenced[0].at)).total_seconds(), 1)


def _text(report: MoveReport) -> str:
    console = Console(file=(text := StringIO()), width=_WIDTH, color_system=None, soft_wrap=True, highlight=False)
    console.print(f"{report.kind} {report.run}: {report.source} to {report.target}: {report.state}", markup=False)
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
    if report.seconds_without_writes is not None:
        console.print(f"nobody could write for {report.seconds_without_writes:,.1f} s")
    if report.comparison:
        report.comparison.show(console)
    if report.upgrade:
        console.print(f"upgrade from {report.upgrade.before} to {report.upgrade.after}:", markup=False)
        for line in upgrading.lines(report.upgrade):
            console.print(f"  {line}", markup=False)
    return text.getvalue()
