"""What `benchmarks.move` found: tables for a person, and the same figures for a program."""

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.move_fill import Size
from benchmarks.move_servers import SETTINGS
from benchmarks.move_steps import Measured
from benchmarks.move_stops import Stop

_MIB = 2**20
_SHOWN_TABLES = 4
# What a step may cost, in multiples of the sum of PostgreSQL's own.
BOUNDS = {
    "backup": (("pg_dump",), 1.2),
    "copy": (("pg_dump", "pg_restore"), 1.2),
    "verify": (("pg_dump", "pg_restore"), 0.75),
}


@dataclass
class Found:
    """All figures of one run. `rounds` are seconds by step; `memory` the most bytes by step, at the size and a tenth."""

    facts: dict[str, Any]
    sizes: list[Size] = field(default_factory=list)
    dump_bytes: int = 0
    rounds: list[dict[str, float]] = field(default_factory=list)
    once: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    memory_of_a_tenth: dict[str, int] = field(default_factory=dict)
    stops: dict[str, Stop] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=lambda: dict(SETTINGS))

    def add(self, step: str, measured: Measured, *, in_rounds: bool = True) -> None:
        """Keep what a step of the last round cost, or of one that is done once."""
        (self.rounds[-1] if in_rounds else self.once).update(measured.seconds)
        self.memory[step] = max(self.memory.get(step, 0), measured.rss)

    @property
    def whole_rounds(self) -> list[dict[str, float]]:
        """The rounds that came to their end."""
        steps = {"pg_dump", "pg_restore", *BOUNDS}
        return [one for one in self.rounds if steps <= one.keys()]

    def ratios(self, step: str) -> list[float]:
        """What a step cost beside PostgreSQL's own in the same round, sorted."""
        beside, _ = BOUNDS[step]
        return sorted(one[step] / sum(one[name] for name in beside) for one in self.whole_rounds)

    def missed(self) -> list[str]:
        """The steps whose median costs more than it may."""
        return [step for step, (_, bound) in BOUNDS.items() if self.whole_rounds and median(self.ratios(step)) > bound]

    def figures(self) -> dict[str, Any]:
        """Everything, for a program."""
        return {**asdict(self), "ratios": {step: self.ratios(step) for step in BOUNDS}, "missed": self.missed()}


def show(found: Found, console: Console) -> None:
    """Print everything."""
    facts = " · ".join(f"{name} {value}" for name, value in found.facts.items())
    console.print(facts, markup=False)
    console.print(" · ".join(f"{name}={value}" for name, value in found.settings.items()), "on both servers")
    console.print(_sizes(found))
    if found.whole_rounds:
        console.print(_seconds(found))
        for step, (beside, bound) in BOUNDS.items():
            ratios = found.ratios(step)
            verdict = "more than" if median(ratios) > bound else "within"
            console.print(
                f"{step} beside {' and '.join(beside)}: {median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}),"
                f" {verdict} {bound}"
            )
        console.print(_memory(found))
    if found.stops:
        console.print(_stops(found))


def _sizes(found: Found) -> Table:
    table = Table(title="the source", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("table")
    for column in ("rows", "MiB", "MiB of indexes"):
        table.add_column(column, justify="right")
    for one in found.sizes[:_SHOWN_TABLES]:
        table.add_row(one.name, f"{one.rows:,}", f"{one.table_bytes / _MIB:,.1f}", f"{one.index_bytes / _MIB:,.1f}")
    whole = [sum(getattr(one, name) for one in found.sizes) for name in ("rows", "table_bytes", "index_bytes")]
    table.add_row("all", f"{whole[0]:,}", f"{whole[1] / _MIB:,.1f}", f"{whole[2] / _MIB:,.1f}")
    if found.dump_bytes:
        table.add_row("the dump", "", f"{found.dump_bytes / _MIB:,.1f}", "")
    return table


def _seconds(found: Found) -> Table:
    table = Table(title=f"seconds, medians of {len(found.whole_rounds)}", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("step")
    for column in ("median", "least", "most", "MiB of the source a second"):
        table.add_column(column, justify="right")
    size = sum(one.table_bytes + one.index_bytes for one in found.sizes) / _MIB
    for name in found.whole_rounds[0]:
        values = sorted(one[name] for one in found.whole_rounds)
        shown = (median(values), values[0], values[-1], size / median(values))
        table.add_row(name, *(f"{value:,.1f}" for value in shown))
    for name, value in found.once.items():
        table.add_row(f"{name} (once)", f"{value:,.1f}", "", "", f"{size / value:,.1f}")
    return table


def _memory(found: Found) -> Table:
    table = Table(title="the most memory of a command and what it starts, MiB", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("step")
    for column in ("of this size", "of a tenth"):
        table.add_column(column, justify="right")
    for name, value in found.memory.items():
        tenth = found.memory_of_a_tenth.get(name)
        table.add_row(name, f"{value / _MIB:,.0f}", f"{tenth / _MIB:,.0f}" if tenth else "")
    return table


def _stops(found: Found) -> Table:
    table = Table(title="without writes, as writers saw it", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("move", no_wrap=True)
    for column in ("seconds", "acknowledged", "kept"):
        table.add_column(column, justify="right")
    table.add_column("its phases, seconds")
    for name, stop in found.stops.items():
        parts = ", ".join(f"{part} {seconds:.1f}" for part, seconds in stop.parts.items())
        table.add_row(name, f"{stop.seconds:,.2f}", f"{stop.acknowledged:,}", f"{stop.kept:,}", parts)
    return table
