"""Seconds without writes during a move, as writers see them.

A handful of writers draw annotations one after another, with the statement of the API, and are refused while a side is
fenced. They change sides when the run says that the target is open: how long a deployment takes is not in the figure.
It is the time from the last write that was acknowledged before the stop to the first after it, of all writers together.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import asyncpg

from labeler_ops.move.context import Endpoints, Mode, MoveContext, MovePlan, Part, RunOptions
from labeler_ops.move.replication.database_pair import Urls
from labeler_ops.move.workflow import MoveWorkflow
from labeler_ops.reporter import Shown

WRITERS = 4
_PAUSE_SECONDS = 0.01  # after each try, so that the writers are users and not the load
_BEFORE_SECONDS, _AFTER_SECONDS = 1.0, 1.0
_LOCK = "SELECT true FROM annotation_projects WHERE id = $1 FOR NO KEY UPDATE"
_INSERT = "SELECT ids FROM create_annotations_1($1, $2, '{}', true, $3::jsonb, 60)"
_DRAFT = (
    '[{"image_id": "train/000001", "annotation_type": "bbox", "task_type": "detection", "class_id": "person",'
    ' "class_name": "Person", "attributes": {}, "annotation_state": "draft", "notes": "%s",'
    ' "geometry": {"type": "bbox", "bbox": [1, 2, 3, 4], "image_width": 1920, "image_height": 1080}}]'
)
_FOUND = "SELECT count(DISTINCT notes) FROM annotations WHERE notes = ANY($1::text[])"


@dataclass
class Stop:
    """What the writers saw: the longest time without an acknowledged write, and how many were acknowledged and kept."""

    seconds: float
    acknowledged: int
    kept: int
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        """Acknowledged, and not on the side that serves."""
        return self.acknowledged - self.kept


class Quiet:
    """A reporter that says nothing."""

    def line(self, text: str) -> None: ...

    def progress(self, done: int, total: int) -> None: ...

    def begin(self, what: str, size: int | None = None) -> None: ...

    def done(self, objects: int, size: int) -> None: ...

    def show(self, what: Shown) -> None: ...


class Writers:
    """Writers that ask where to write before each try."""

    def __init__(self, serving: Callable[[], str]) -> None:
        self._serving = serving
        self._acknowledged: dict[str, float] = {}  # the note of each write, and when its answer came
        self._stopped = False

    async def work(self, number: int) -> None:
        """Write until stopped."""
        connection: asyncpg.Connection[asyncpg.Record] | None = None
        connected, count = "", 0
        while not self._stopped:
            if connection is None or connected != self._serving():
                if connection is not None:
                    await connection.close()
                connected = self._serving()
                connection = await asyncpg.connect(connected)
            note = f"benchmark {id(self)} {number} {count}"
            count += 1
            with suppress(asyncpg.PostgresError):  # refused: a fence
                async with connection.transaction():
                    await connection.fetchval(_LOCK, f"proj_{number + 1}")
                    await connection.fetch(_INSERT, f"proj_{number + 1}", number + 1, _DRAFT % note)
                self._acknowledged[note] = perf_counter()
            await asyncio.sleep(_PAUSE_SECONDS)
        if connection is not None:
            await connection.close()

    def stop(self) -> None:
        """Let everybody finish."""
        self._stopped = True

    async def seen(self, url: str) -> Stop:
        """Say what they saw, and how much of it the side that serves now has."""
        times = sorted(self._acknowledged.values())
        connection = await asyncpg.connect(url)
        try:
            kept = await connection.fetchval(_FOUND, list(self._acknowledged))
        finally:
            await connection.close()
        longest = max(later - earlier for earlier, later in pairwise(times))
        return Stop(longest, len(times), kept)


@asynccontextmanager
async def writing(serving: Callable[[], str]) -> AsyncIterator[Writers]:
    """Write all the while."""
    writers = Writers(serving)
    tasks = [asyncio.create_task(writers.work(number)) for number in range(WRITERS)]
    try:
        await asyncio.sleep(_BEFORE_SECONDS)
        yield writers
        await asyncio.sleep(_AFTER_SECONDS)
    finally:
        writers.stop()
        await asyncio.gather(*tasks)


async def by_dump(source: str, target: str, runs: Path, jobs: int) -> Stop:
    """Move by dump and restore: nobody writes from the fence to the opening, all rows compared in between."""
    move = _begun(runs, source, target, RunOptions(jobs=jobs))
    await move.run_forward(until="backup")

    async def stop() -> None:
        await move.run_forward()
        await move.open()

    seen = await _during(stop, lambda: target if move.run.ended("open") is not None else source, lambda: target)
    await move.finalize()
    seen.parts = _seconds(move, "read only", "copy", "verify", "switch", "open")
    return seen


async def by_replication(source: str, target: str, runs: Path) -> tuple[Stop, Stop]:
    """Move by replication, rows compared after the opening; and the way back, rows compared before it is open."""
    move = _begun(runs, source, target, mode=Mode.LOGICAL, compare_after=True, backup=False)
    await move.run_forward(until="following")

    async def stop() -> None:
        await move.run_forward()
        await move.open()

    forth = await _during(
        stop,
        lambda: target if move.run.ended("open") is not None else source,
        lambda: target,
    )
    forth.parts = _seconds(move, "read only", "switch", "open", "verify")
    back = await _during(
        move.rollback, lambda: source if move.run.ended("back: open") is not None else target, lambda: source
    )
    back.parts = _seconds(move, "back: read only", "back: switch", "back: open")
    return forth, back


def _begun(runs: Path, source: str, target: str, options: RunOptions | None = None, **plan: Any) -> MoveWorkflow:
    ends = Endpoints(Urls(source, target), None)
    return MoveWorkflow(
        MoveContext.begin(runs, MovePlan(only=Part.DATABASES, **plan), ends, Quiet(), options or RunOptions())
    )


async def _during(work: Callable[[], Awaitable[object]], serving: Callable[[], str], after: Callable[[], str]) -> Stop:
    async with writing(serving) as writers:
        await work()
    return await writers.seen(after())


def _seconds(move: Any, *phases: str) -> dict[str, float]:
    ended = {event.phase: event.seconds for event in move.run.events if event.event == "ended"}
    return {name: ended[name] for name in phases if name in ended}
