"""What a move costs beside PostgreSQL's own programs, and how long nobody can write.

`python -m benchmarks.move` starts two PostgreSQL servers on this machine with the same settings, fills one, and measures
in rounds, with ourselves and PostgreSQL's own in turns and the other one first in every second round:

- `pg_dump -Fd -j N` beside our backup: the dump with the hash of every file; its restore test is shown apart;
- that and `pg_restore -j N` into an empty database beside our copy, which also analyzes the target;
- both together beside our verify, which reads every row of both sides.

Both are given the same compression, which decides what a dump costs. Then come the seconds without writes of a move by
dump and of one by logical replication, with writers at work. The exit code is 1 when a median is over its bound, or an
acknowledged write is not on the side that serves. The figures of memory beside them are of a database of a tenth.
"""

import argparse
import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Awaitable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import psutil
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks import move_stops as stops
from benchmarks.move_fill import PROJECTS, Amount, fill
from benchmarks.move_report import Found, show
from benchmarks.move_servers import Servers, running
from benchmarks.move_steps import Measured, bare, ours

_T = TypeVar("_T")
_FEWEST = 1000  # of a tenth, every project has some
# As our backup gives them: compression decides what a dump costs, and both wait for the disk.
_DUMP = ("--format=directory", "--compress=1")


class Bench:
    """One run: the servers, where dumps go, and what is found."""

    def __init__(self, servers: Servers, home: Path, jobs: int, found: Found, bar: Progress) -> None:
        self.servers, self.home, self.jobs, self.found, self.bar = servers, home, jobs, found, bar

    async def filled(self, name: str, amount: Amount) -> str:
        """Make a source of so many rows; its URL."""
        url = await self.servers.empty(name, of=self.servers.source)
        task = self.bar.add_task(f"filling {name}", total=PROJECTS)
        self.found.sizes = await fill(url, amount, lambda done, _: self.bar.update(task, completed=done))
        self.bar.remove_task(task)
        return url

    async def round(self, source: str, number: int) -> None:
        """Every step once, by us and by PostgreSQL's own programs."""
        self.found.rounds.append({})
        theirs_first = number % 2 == 0
        for pair in ((self._pg_dump, self._backup), (self._pg_restore, self._copy_and_verify)):
            for step in pair if theirs_first else reversed(pair):
                await step(source)
        shutil.rmtree(self.home / "bare.dump")
        shutil.rmtree(self.home / "backup")

    async def memory_only(self, source: str) -> None:
        """Every step once, for nothing but its memory."""
        await self.round(source, 0)
        await self.restore_test(source)
        shutil.rmtree(self.home / "backup")
        self.found.memory_of_a_tenth = self.found.memory
        self.found.rounds, self.found.once, self.found.memory = [], {}, {}

    async def restore_test(self, source: str) -> None:
        """Try a backup as a move does."""
        if not (self.home / "backup").exists():
            await ours("backup", source, self.servers.target.dsn("postgres"), self.home / "backup", self.jobs)
        await self._ours("restore test", source, self.servers.target.dsn("postgres"), in_rounds=False)

    async def plain(self, source: str) -> None:
        """`pg_dump` with its own compression, once, to be seen beside the others."""
        into = self.home / "plain.dump"
        name = "pg_dump, its own compression"
        step = bare(name, self._program("pg_dump"), "-Fd", f"-j{self.jobs}", f"--file={into}", url=source)
        self.found.add(name, await self._told(name, step), in_rounds=False)
        shutil.rmtree(into)

    async def _pg_dump(self, source: str) -> None:
        into = self.home / "bare.dump"
        step = bare("pg_dump", self._program("pg_dump"), *_DUMP, f"--jobs={self.jobs}", f"--file={into}", url=source)
        self.found.add("pg_dump", await self._told("pg_dump", step))
        self.found.dump_bytes = sum(path.stat().st_size for path in into.iterdir())

    async def _backup(self, source: str) -> None:
        await self._ours("backup", source, self.servers.target.dsn("postgres"))

    async def _pg_restore(self, _source: str) -> None:
        url = await self.servers.empty("bare")
        arguments = (f"--jobs={self.jobs}", "--dbname=bare", str(self.home / "bare.dump"))
        step = bare("pg_restore", self._program("pg_restore"), *arguments, url=url)
        self.found.add("pg_restore", await self._told("pg_restore", step))
        await self.servers.drop("bare")

    async def _copy_and_verify(self, source: str) -> None:
        target = await self.servers.empty("ours")
        await self._ours("copy", source, target)
        await self._ours("verify", source, target)
        shutil.rmtree(self.home / "copy")
        await self.servers.drop("ours")

    async def _ours(self, step: str, source: str, target: str, *, in_rounds: bool = True) -> None:
        into = self.home / ("backup" if step == "restore test" else step)
        measured = await self._told(step, ours(step, source, target, into, self.jobs))
        self.found.add(step, measured, in_rounds=in_rounds)

    async def stops(self, source: str, mode: str) -> None:
        """Move with writers at work."""
        runs = self.home / "runs"
        if mode in {"dump", "both"}:
            work = stops.by_dump(source, await self.servers.empty("by_dump"), runs, self.jobs)
            self.found.stops["by dump, rows compared in the stop"] = await self._told("a move by dump", work)
            await self.servers.drop("by_dump")
            shutil.rmtree(runs)
        if mode in {"logical", "both"}:
            both = stops.by_replication(source, await self.servers.empty("by_replication"), runs)
            forth, back = await self._told("a move by replication, and back", both)
            self.found.stops["by replication, rows compared after it"] = forth
            self.found.stops["the way back, rows compared in the stop"] = back

    def _program(self, name: str) -> Path:
        return self.servers.bin_dir / name

    async def _told(self, name: str, work: Awaitable[_T]) -> _T:
        await self.servers.settled()
        task = self.bar.add_task(name, total=None)
        started = perf_counter()
        result = await work
        self.bar.remove_task(task)
        took = sum(list(result.seconds.values())[:1]) if isinstance(result, Measured) else perf_counter() - started
        self.bar.console.print(f"{name}: {took:,.1f} s, load {os.getloadavg()[0]:.1f}", highlight=False)
        return result


async def run(found: Found, amount: Amount, *, jobs: int, rounds: int, mode: str, durable: bool) -> None:
    """Measure everything; `found` has at any time what was found so far."""
    home = Path(tempfile.mkdtemp(prefix="labeler-move-"))
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        servers = await stack.enter_async_context(running(home, durable=durable))
        found.facts.update(_facts(servers, jobs, durable=durable))
        bar = stack.enter_context(Progress(*columns, console=console, transient=True))
        bench = Bench(servers, home, jobs, found, bar)
        if rounds:
            tenth = await bench.filled("tenth", amount.over(10))
            await bench.memory_only(tenth)
            await servers.empty("tenth", of=servers.source)
        source = await bench.filled("labeler", amount)
        for number in range(rounds):
            await bench.round(source, number)
        if rounds:
            await bench.restore_test(source)
            await bench.plain(source)
            shutil.rmtree(home / "backup")
        if mode != "none":
            await bench.stops(source, mode)


def _facts(servers: Servers, jobs: int, *, durable: bool) -> dict[str, object]:
    return {
        "PostgreSQL": servers.target.install.version,
        "cores": psutil.cpu_count(),
        "jobs": jobs,
        "fsync": "on" if durable else "off",
        "load before": round(os.getloadavg()[0], 2),
    }


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotations", type=int, default=1_000_000)
    parser.add_argument("--history", type=int, default=4_000_000)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--jobs", type=int, default=4, help="connections, of ours and of PostgreSQL's programs")
    parser.add_argument("--repeat", type=int, default=3, help="rounds; 0: only the seconds without writes")
    parser.add_argument("--mode", choices=("dump", "logical", "both", "none"), default="both", help="moves to stop for")
    parser.add_argument("--no-fsync", action="store_true", help="servers that do not wait for the disk")
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON")
    options = parser.parse_args()
    amount = Amount(options.annotations, options.history, options.images)
    if min(options.annotations, options.images) < _FEWEST or options.history < options.annotations:
        parser.error(f"at least {_FEWEST} annotations and images, and a history row for each annotation")
    found = Found({})
    try:
        asyncio.run(
            run(
                found,
                amount,
                jobs=options.jobs,
                rounds=options.repeat,
                mode=options.mode,
                durable=not options.no_fsync,
            )
        )
    finally:  # what was measured in an hour is not lost with the next step
        show(found, Console(width=120, highlight=False))
        if options.out:
            options.out.write_text(json.dumps(found.figures(), indent=2, default=str) + "\n")
    lost = [f"{name}: acknowledged writes are missing" for name, stop in found.stops.items() if stop.lost]
    if wrong := [*lost, *(f"{step} costs more than it may" for step in found.missed())]:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
