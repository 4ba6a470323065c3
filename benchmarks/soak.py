"""Eight people at work for minutes or hours: does the API process keep anything? `python -m benchmarks.soak`.

Each of them makes the frontend's calls in a project of their own, one after the other in an order of their own: reads,
saves, uploads, pictures, thumbnails, exports. Memory, open files and connections are looked at every second. It ends
with status 1 when one of them is more than a twentieth above what it was after the warm-up, or a call was refused.
"""

import argparse
import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import psutil

from benchmarks import figures
from benchmarks.api import stack
from benchmarks.decoding import photograph
from benchmarks.figures import Figures
from benchmarks.frontend_calls import Colleague, Frontend, Step
from benchmarks.lines import plot
from benchmarks.pairs import load_now
from benchmarks.people import Person, people, project
from benchmarks.processes import Server, api_of, environment_of

COLUMNS = ("what", "after the warm-up", "at the end", "of it", "held")
_MIB = 1024 * 1024
_GROWTH = 0.05
_FEW = 2  # open files and connections come and go with the calls of the moment: so many are no growth
_WARM_PART, _WINDOW_PART = 1 / 3, 1 / 10  # of the time: the warm-up, and what is compared with what
_READS_A_WRITE = 3
_IMAGES = 400  # of each project, before what is uploaded
# They make datasets and classes without an end, and what others read would grow with them.
_LEFT_OUT = {
    *("make a dataset", "add a task", "transfer a project"),
    *("add a class", "change a class", "reorder classes"),
}
_SESSIONS = "SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@dataclass
class Seen:
    """What was looked at, each second, and what was done."""

    at: list[float] = field(default_factory=list)
    of: dict[str, list[float]] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)

    def look(self, at: float, values: Mapping[str, float]) -> None:
        """Keep what is seen now."""
        self.at.append(at)
        for name, value in values.items():
            self.of.setdefault(name, []).append(value)

    def grown(self, seconds: float) -> list["Grown"]:
        """Compare the end with the time after the warm-up."""
        warm, window = seconds * _WARM_PART, max(2.0, seconds * _WINDOW_PART)
        return [
            Grown(name, self._median(values, warm, warm + window), self._median(values, seconds - window, seconds + 60))
            for name, values in self.of.items()
        ]

    def _median(self, values: Sequence[float], since: float, until: float) -> float:
        chosen = [value for at, value in zip(self.at, values, strict=True) if since <= at <= until]
        return median(chosen or values[-1:])


@dataclass(frozen=True)
class Grown:
    """What something was after the warm-up and at the end."""

    name: str
    before: float
    after: float

    @property
    def is_held(self) -> bool:
        """Whether it did not grow; of what is counted, by two at most."""
        counted = 0 if "MiB" in self.name else _FEW
        return self.after <= max(self.before * (1 + _GROWTH), self.before + counted)

    def cells(self) -> list[str]:
        """A row of a table with COLUMNS."""
        part = f"{self.after / self.before:.0%}" if self.before else "–"
        return [self.name, f"{self.before:,.0f}", f"{self.after:,.0f}", part, "yes" if self.is_held else "NO"]


@dataclass(frozen=True)
class Work:
    """One person at work in a project of their own."""

    api: httpx.AsyncClient
    dataset: str
    project: str
    frontend: Frontend
    chosen: random.Random
    seen: Seen

    async def until(self, end: float) -> None:
        """Make calls until the time is over."""
        reads = self.frontend.reads()
        writes = [step for step in (*self.frontend.writes(), *self.frontend.people()) if step.name not in _LEFT_OUT]
        media = [self._upload, self._pictures, self._export]
        turn = self.chosen.randrange(20)
        while monotonic() < end:
            turn += 1
            if turn % 20 == 0:
                await self.chosen.choice(media)()
            else:
                await self._step(self.chosen.choice(reads if turn % (_READS_A_WRITE + 1) else writes))

    async def _step(self, step: Step) -> None:
        made = await step.prepare() if step.prepare else None
        await self.frontend.take(step, made)
        self.seen.calls[step.name] += 1

    async def _upload(self) -> None:
        files = [("files", (f"soak/{self.chosen.randrange(20)}.jpg", _PHOTOGRAPH))]
        sent = await self.api.post(f"/api/v1/datasets/{self.dataset}/images", files=files)
        _require(sent)
        self.seen.calls["upload a picture"] += 1

    async def _pictures(self) -> None:
        shown = await self.api.get(f"/api/v1/projects/{self.project}/images?limit=50&offset={_IMAGES}")
        for image in _require(shown).json()["images"]:
            for link in (image["url"], image["thumbnail_url"]):
                parts = urlsplit(link)
                _require(await self.api.get(f"{parts.path}?{parts.query}"))
                self.seen.calls["look at a picture"] += 1

    async def _export(self) -> None:
        body = {"export_format": "coco", "task_type": "detection", "include_draft": True}
        _require(await self.api.post(f"/api/v1/projects/{self.project}/export", json=body))
        self.seen.calls["export"] += 1


_PHOTOGRAPH = photograph(640, 480)


def _require(answer: httpx.Response) -> httpx.Response:
    if not answer.is_success:
        raise SystemExit(f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text[:500]}")
    return answer


@dataclass(frozen=True)
class Watch:
    """Looks at the processes every second."""

    api: int
    gateway: int
    dsn: str
    seen: Seen

    async def until(self, end: float) -> None:
        """Look until the time is over."""
        api, gateway = psutil.Process(self.api), psutil.Process(self.gateway)
        database = await asyncpg.connect(self.dsn)
        began = monotonic()
        try:
            while (now := monotonic()) < end:
                values = {
                    "API, MiB": api.memory_info().rss / _MIB,
                    "API, open files": api.num_fds(),
                    "API, connections": len(api.net_connections()),
                    "gateway, MiB": gateway.memory_info().rss / _MIB,
                    "gateway, open files": gateway.num_fds(),
                    "connections of the database": await database.fetchval(_SESSIONS),
                }
                self.seen.look(now - began, values)
                await asyncio.sleep(1)
        finally:
            await database.close()


async def measured(ready: Mapping[str, Any], seconds: float) -> Seen:
    """Let eight people work beside a running stack."""
    server, dsn, seen = api_of(ready), ready["databases"]["labeler"], Seen()
    async with AsyncExitStack() as exits:
        persons = await people(ready, environment_of(server.pid)["JWT_SECRET_KEY"])
        clients = [await exits.enter_async_context(_client(server, person)) for person in persons]
        works = []
        for number, (person, api) in enumerate(zip(persons, clients, strict=True)):
            where = await project(dsn, api, person, images=_IMAGES)
            other = (number + 1) % len(persons)
            colleague = Colleague(persons[other].user_id, f"person{other}@example.com", clients[other])
            frontend = Frontend(api, where.dataset_id, where.id, colleague)
            works.append(Work(api, where.dataset_id, where.id, frontend, random.Random(number), seen))
        end = monotonic() + seconds
        watch = Watch(server.pid, ready["pids"]["gateway"], dsn, seen)
        async with asyncio.TaskGroup() as together:
            for until in (watch.until, *(work.until for work in works)):
                together.create_task(until(end))
    return seen


def _client(server: Server, person: Person) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=server.url, headers=person.headers, timeout=60)


async def main(given: argparse.Namespace) -> None:
    """Run the benchmark, print its table or write it into the page, and say whether anything grew."""
    seconds = given.hours * 3600 if given.hours else given.minutes * 60
    with tempfile.TemporaryDirectory() as home:
        async with stack(Path(home), "--no-demo") as ready:
            seen = await measured(ready, seconds)
    found = seen.grown(seconds)
    title = f"{len(seen.calls)} kinds of calls, {seen.calls.total():,} of them, in {seconds / 60:.0f} minutes"
    before = {one.name: one.before or 1 for one in found}
    lines = {
        name: [(at / 60, value / before[name] * 100) for at, value in zip(seen.at, values, strict=True)]
        for name, values in seen.of.items()
    }
    mark = seconds * _WARM_PART / 60
    picture = plot(f"{title}; in % of after the warm-up", lines, across="minutes", mark=mark)
    rows = [one.cells() for one in found]
    figures.show(Figures("soak", title, COLUMNS, rows, [load_now()], picture=picture), write=given.write)
    if grown := [one.name for one in found if not one.is_held]:
        raise SystemExit(f"it grew: {'; '.join(grown)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--hours", type=float, default=0, help="instead of minutes")
    figures.add_write(parser)
    asyncio.run(main(parser.parse_args()))
