"""Measurements in turns: the load, and the CPU time that the server and PostgreSQL spend on a call.

A noisy machine is unfair to all alike that way. The ratios last, and the CPU times; not the rates.
"""

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.generator import NAME, load
from benchmarks.load import Request, Result
from benchmarks.processes import Cores, cpu_seconds


@dataclass(frozen=True)
class Timed:
    """One measurement, and the CPU time of a call: of the server that was asked, and of PostgreSQL."""

    load: Result
    server_ms: float
    postgres_ms: float


@dataclass(frozen=True)
class Bench:
    """What the measurements share."""

    postgres: int
    cores: Cores
    seconds: float
    rounds: int

    async def in_turns(
        self,
        asked: Sequence[tuple[int, Sequence[Request], int]],
        before_each: Callable[[], Awaitable[None]] | None = None,
    ) -> list["Summary"]:
        """Measure each of these one after the other, and that again and again: by which process is asked for what, over
        how many connections. `before_each` is awaited before each measurement.

        The first round is to warm up.
        """
        found: list[list[Timed]] = [[] for _ in asked]
        for turn in range(self.rounds + 1):
            for number, (server, requests, connections) in enumerate(asked):
                if before_each is not None:
                    await before_each()
                timed = await self._timed(server, requests, connections)
                if turn:
                    found[number].append(timed)
        return [Summary.of(results) for results in found]

    async def _timed(self, server: int, requests: Sequence[Request], connections: int) -> Timed:
        before = cpu_seconds(server, children=False), cpu_seconds(self.postgres)
        result = await load(requests, connections=connections, seconds=self.seconds, cores=self.cores.load)
        after = cpu_seconds(server, children=False), cpu_seconds(self.postgres)
        own, postgres = (
            (late - early) * 1000 / max(1, result.requests) for early, late in zip(before, after, strict=True)
        )
        return Timed(result, own, postgres)

    @property
    def how(self) -> str:
        """Say how it was measured."""
        return f"{NAME}, {self.rounds} rounds in turns, medians, load {os.getloadavg()[1]:.1f}"


@dataclass(frozen=True)
class Summary:
    """Medians of some measurements; the slowest of all, and the sum of failures."""

    rate: float
    p50: float
    p95: float
    slowest: float
    server_ms: float
    postgres_ms: float
    failures: int

    @classmethod
    def of(cls, timed: Sequence[Timed]) -> "Summary":
        """Sum up."""
        results = [one.load for one in timed]
        return cls(
            median(result.requests_per_second for result in results),
            median(result.p50_ms for result in results),
            median(result.p95_ms for result in results),
            max(result.slowest_ms for result in results),
            median(one.server_ms for one in timed),
            median(one.postgres_ms for one in timed),
            sum(result.failures for result in results),
        )
