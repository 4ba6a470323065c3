"""One step of a move as a process of its own, and what it costs: seconds, and the most memory that it held.

Our steps run as `python -m benchmarks.move_steps backup|restore test|copy|verify`, which prints the seconds of the call as a
JSON object: the interpreter's start, the same for one row and for millions, is left out. PostgreSQL's own programs are
timed from their start to their end. The memory is that of a process and of all that it started (our interpreter,
`pg_dump` and its workers), not that of the servers.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import asyncpg
import msgspec
import psutil

from labeler_ops.backup import clients, dumps
from labeler_ops.database.verify.equality import compare_databases
from labeler_ops.move.rows import copy

_SAMPLE_SECONDS = 0.1  # between two looks at the memory


@dataclass(frozen=True)
class Measured:
    """Seconds by the name of the part, and the most memory in bytes."""

    seconds: Mapping[str, float]
    rss: int


async def bare(name: str, program: Path, *arguments: str, url: str) -> Measured:
    """Run a program of PostgreSQL's, as a person would."""
    started = perf_counter()
    rss, _ = await _watched([str(program), *arguments], clients.environment(url))
    return Measured({name: perf_counter() - started}, rss)


async def ours(step: str, source: str, target: str, into: Path, jobs: int) -> Measured:
    """Run one of our steps."""
    argv = [sys.executable, "-m", "benchmarks.move_steps", step, str(into), str(jobs)]
    rss, said = await _watched(argv, {"SOURCE_DATABASE_URL": source, "TARGET_DATABASE_URL": target})
    return Measured(msgspec.json.decode(said, type=dict[str, float]), rss)


async def _watched(argv: Sequence[str], environ: Mapping[str, str]) -> tuple[int, bytes]:
    process = await asyncio.create_subprocess_exec(
        *argv,
        env={**os.environ, **environ},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    ending = asyncio.ensure_future(process.communicate())
    rss = 0
    try:
        while not ending.done():
            with suppress(psutil.Error):
                rss = max(rss, _memory(psutil.Process(process.pid)))
            await asyncio.wait({ending}, timeout=_SAMPLE_SECONDS)
    finally:
        if process.returncode is None:
            process.terminate()
    said, complaint = await ending
    if process.returncode:
        raise SystemExit(f"{argv[:4]} failed with {process.returncode}:\n{complaint.decode(errors='replace')[-3000:]}")
    return rss, said


def _memory(process: psutil.Process) -> int:
    total = 0
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.Error):  # it ended just now
            total += one.memory_info().rss
    return total


async def _backup(source: str, target: str, into: Path, jobs: int) -> dict[str, float]:
    tools = await _tools(target)
    started = perf_counter()
    async with dumps.snapshot(source) as moment:
        await dumps.dump(tools, source, into, as_of=moment, jobs=jobs, on_progress=_silent)
        return {"backup": perf_counter() - started}


async def _restore_test(source: str, target: str, into: Path, jobs: int) -> dict[str, float]:
    """Try the dump that `_backup` made: nobody has written since, so this moment is that one."""
    tools = await _tools(target)
    started = perf_counter()
    async with dumps.snapshot(source) as moment:
        tried = await dumps.restore_test(tools, into, source, moment, at=source, jobs=jobs)
    took = perf_counter() - started
    if not tried.report.same:
        raise SystemExit("\n".join(tried.report.lines()))
    return {
        "restore test": took,
        "restore test: restore": tried.restore_seconds,
        "restore test: verify": tried.report.seconds,
    }


async def _copy(source: str, target: str, into: Path, jobs: int) -> dict[str, float]:
    started = perf_counter()
    copied = await copy.copy(source, target, into, jobs=jobs, on_progress=_silent)
    return {
        "copy": perf_counter() - started,
        "copy: dump": copied.dump_seconds,
        "copy: restore": copied.restore_seconds,
        "copy: analyze": copied.analyze_seconds,
    }


async def _verify(source: str, target: str, _into: Path, jobs: int) -> dict[str, float]:
    started = perf_counter()
    report = await compare_databases(source, target, connections=jobs, progress=_silent)
    if not report.same:
        raise SystemExit("\n".join(report.lines()))
    return {"verify": perf_counter() - started}


async def _tools(url: str) -> clients.Clients:
    connection = await asyncpg.connect(url)
    try:
        return clients.find(connection.get_server_version().major)
    finally:
        await connection.close()


def _silent(_done: int, _total: int) -> None:
    """Hear the progress, as every command's bar does: it is part of the cost."""


_STEPS: Mapping[str, Callable[[str, str, Path, int], Awaitable[dict[str, float]]]] = {
    "backup": _backup,
    "restore test": _restore_test,
    "copy": _copy,
    "verify": _verify,
}


async def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=_STEPS)
    parser.add_argument("into", type=Path)
    parser.add_argument("jobs", type=int)
    given = parser.parse_args()
    environ = os.environ
    step = _STEPS[given.step]
    took = await step(environ["SOURCE_DATABASE_URL"], environ["TARGET_DATABASE_URL"], given.into, given.jobs)
    sys.stdout.buffer.write(msgspec.json.encode(took))


if __name__ == "__main__":
    asyncio.run(_main())
