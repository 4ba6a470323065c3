"""A call beside its floor: both in turns within one run, by rate and by CPU time of the server that is asked.

The ratios last; the rates belong to the machine and to whatever else it does. With two cores or more the servers run on
the first ones and the load on the last one, so that the one never waits for the other.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from rich.table import Table

from benchmarks.generator import NAME, load
from benchmarks.load import Request, Result
from benchmarks.processes import Cores, cpu_seconds

COLUMNS = ("call", "connections", "a second", "bare", "ratio", "by CPU", "CPU ms: ours", "bare", "p95 ms: ours", "bare")


@dataclass(frozen=True)
class Asked:
    """What is sent to a server, and its process."""

    pid: int
    requests: Sequence[Request]


@dataclass(frozen=True)
class Timed:
    """One measurement, and the CPU time of the server for a call."""

    load: Result
    cpu_ms: float


@dataclass(frozen=True)
class Pair:
    """Rounds of a call and of its floor, in turns."""

    name: str
    connections: int
    ours: Sequence[Timed]
    floor: Sequence[Timed]

    @property
    def ratio(self) -> float:
        """Our rate in parts of the floor's: the median of the rounds, each of which met one state of the machine."""
        return median(
            one.load.requests_per_second / least.load.requests_per_second
            for one, least in zip(self.ours, self.floor, strict=True)
        )

    @property
    def cpu_ratio(self) -> float:
        """The floor's CPU time in parts of ours: what neighbours take does not count."""
        return _cpu(self.floor) / max(_cpu(self.ours), 1e-6)

    @property
    def failures(self) -> int:
        """Answers that were not those that were asked for."""
        return sum(timed.load.failures for timed in (*self.ours, *self.floor))

    def cells(self) -> list[str]:
        """A row of a table with COLUMNS."""
        ours, floor = (median(one.load.requests_per_second for one in timed) for timed in (self.ours, self.floor))
        late, floor_late = (median(one.load.p95_ms for one in timed) for timed in (self.ours, self.floor))
        return [
            *(self.name, str(self.connections), f"{ours:,.0f}", f"{floor:,.0f}"),
            *(f"{self.ratio:.2f}", f"{self.cpu_ratio:.2f}", f"{_cpu(self.ours):.2f}", f"{_cpu(self.floor):.2f}"),
            *(f"{late:.1f}", f"{floor_late:.1f}"),
        ]


def _cpu(timed: Sequence[Timed]) -> float:
    return median(one.cpu_ms for one in timed)


@dataclass(frozen=True)
class Turns:
    """How long and how often is measured."""

    seconds: float
    rounds: int
    cores: Cores

    async def pair(self, name: str, ours: Asked, floor: Asked, connections: int) -> Pair:
        """Measure a call and its floor one after the other, again and again; the first round is to warm up.

        Raises SystemExit where an answer was not the one that was asked for: its rate would say nothing.
        """
        found: tuple[list[Timed], list[Timed]] = ([], [])
        for turn in range(self.rounds + 1):
            for side, asked in zip(found, (ours, floor), strict=True):
                timed = await self._timed(asked, connections)
                if turn:
                    side.append(timed)
        pair = Pair(name, connections, *found)
        if pair.failures:
            raise SystemExit(f"{name}: {pair.failures} answers failed")
        return pair

    async def _timed(self, asked: Asked, connections: int) -> Timed:
        before = cpu_seconds(asked.pid, children=False)
        result = await load(asked.requests, connections=connections, seconds=self.seconds, cores=self.cores.load)
        spent = cpu_seconds(asked.pid, children=False) - before
        return Timed(result, spent * 1000 / max(1, result.requests))

    @property
    def how(self) -> str:
        """Say how it was measured."""
        where = f"server on core {_listed(self.cores.servers)}, load on core {_listed(self.cores.load)}"
        return f"{NAME}, {self.rounds} rounds of {self.seconds:g} s in turns, medians, {where}, {load_now()}"


def load_now() -> str:
    """Say how busy the machine is."""
    return f"load {os.getloadavg()[0]:.1f}"


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Make a table to print; its first column has names, the others numbers."""
    made = Table(title=title)
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left")
    for row in rows:
        made.add_row(*row)
    return made


def _listed(cores: Sequence[int]) -> str:
    return ", ".join(str(core) for core in cores)
