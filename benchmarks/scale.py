"""Calls of the frontend where there is a lot: 1,000,000 annotations, 200,000 images, 500 projects.

`python -m benchmarks.scale` fills a database of its own, measures each call one at a time, and compares with what it may
take. It ends with status 1 when one takes more. `--annotations`, `--images` and `--projects` make it smaller.
"""

import argparse
import asyncio
import hashlib
import random
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import httpx
from rich.console import Console

from benchmarks import figures
from benchmarks.api import stack
from benchmarks.bars import Bar, chart
from benchmarks.figures import Figures
from benchmarks.load import Connection, Request
from benchmarks.pairs import load_now
from benchmarks.people import Person, people
from benchmarks.processes import Server, api_of, cpu_seconds, environment_of
from benchmarks.scale_fill import Amount, Filled, fill

COLUMNS = ("call", "may take", "took", "of it", "held")
_MIB = 1024 * 1024
_TIMES = 100  # that each call is measured
_BATCH = 200
_BOX = {"type": "bbox", "bbox": [1, 2, 30, 40], "image_width": 640, "image_height": 480}
# The moment of an export stands in its file. Everything else has to be the same.
_HEAD_BYTES = 4096  # where the moment stands
_MOMENT = re.compile(rb'"date_created"\s*:\s*"[^"]*"')


@dataclass(frozen=True)
class Bound:
    """What a call took, and the most that it may take; both in the same unit."""

    name: str
    most: float
    took: float
    unit: str

    @property
    def is_held(self) -> bool:
        """Whether it took no more."""
        return self.took <= self.most

    def cells(self) -> list[str]:
        """A row of a table with COLUMNS."""
        part = f"{self.took / self.most:.0%}"
        numbers = f"{self.most:,g} {self.unit}", f"{self.took:,.0f} {self.unit}"
        return [self.name, *numbers, part, "yes" if self.is_held else "NO"]


@dataclass(frozen=True)
class Scene:
    """A filled system, and somebody who owns what is in it."""

    server: Server
    api: httpx.AsyncClient
    connection: Connection
    person: Person
    where: Filled
    amount: Amount
    times: int

    def _request(self, method: str, path: str, body: Any = None) -> Request:
        content = b"" if body is None else httpx.Request("POST", "http://x", json=body).content
        return Request(f"{self.server.url}/api/v1{path}", method, content, self.person.headers)

    async def lists(self) -> list[Bound]:
        """Pages of images and of statuses anywhere in the project."""
        chosen, project = random.Random(1), self.where.project
        depths = [0, *(chosen.randrange(self.amount.images) for _ in range(self.times)), self.amount.images - 1]
        found = []
        for name, path in (
            ("list of images, any page, p95", f"/projects/{project}/images?limit=50"),
            ("list of statuses, any page, p95", f"/projects/{project}/images/status?task_type=detection&limit=50"),
        ):
            waits = [await self._waited(self._request("GET", f"{path}&offset={depth}")) for depth in depths]
            found.append(Bound(name, 80, _p95(waits), "ms"))
        return found

    async def stats(self) -> list[Bound]:
        """Statistics of the project, each time after a save."""
        waits = []
        for number in range(self.times):
            await self._waited(self._saved(1, number))
            waits.append(await self._waited(self._request("GET", f"/projects/{self.where.project}/stats")))
        return [Bound("statistics after a save, p95", 30, _p95(waits), "ms")]

    async def saves(self) -> list[Bound]:
        """Batches of annotations, each on images of its own."""
        waits = [await self._waited(self._saved(_BATCH, number)) for number in range(self.times + 1)]
        return [Bound(f"{_BATCH} annotations saved, p95", 120, _p95(waits[1:]), "ms")]

    def _saved(self, number: int, turn: int) -> Request:
        body = {"project_id": self.where.project, "annotation_type": "bbox", "geometry": _BOX, "class_id": "c1"}
        images = [1 + (turn * number + one) % self.amount.images for one in range(number)]
        if number == 1:
            return self._request("POST", "/annotations", {**body, "image_id": f"train/{images[0]}"})
        items = [{**body, "image_id": f"train/{image}"} for image in images]
        return self._request("POST", "/annotations/batch", {"annotations": items})

    async def exports(self) -> list[Bound]:
        """Two exports of everything, one after the other."""
        digests, seconds = [], []
        _forget_peak(self.server.pid)
        for _ in range(2):
            started = perf_counter()
            body = {"export_format": "coco", "task_type": "detection", "include_draft": True}
            path = f"/api/v1/projects/{self.where.project}/export"
            made = await self.api.post(path, json=body, timeout=900)
            seconds.append(perf_counter() - started)
            if not made.is_success:  # it was given up: the other bounds are looked at all the same
                return [Bound(f"COCO export of {self.amount.annotations:,} annotations", 90, seconds[-1], "s")]
            digests.append(await self._digest(made.json()["download_url"]))
        annotations = f"{self.amount.annotations:,} annotations"
        return [
            Bound(f"COCO export of {annotations}", 90, max(seconds), "s"),
            Bound("memory of the process meanwhile", 300, _peak_bytes(self.server.pid) / _MIB, "MiB"),
            Bound("exports that differ from the first", 0.5, len(set(digests)) - 1, "files"),
        ]

    async def _digest(self, link: str) -> str:
        parts = urlsplit(link)
        digest, head = hashlib.sha256(), b""
        async with self.api.stream("GET", f"{parts.path}?{parts.query}", timeout=300) as answer:
            answer.raise_for_status()
            async for chunk in answer.aiter_bytes():
                room = _HEAD_BYTES - len(head)
                head += chunk[:room]
                digest.update(chunk[room:])
        return hashlib.sha256(_MOMENT.sub(b"", head) + digest.digest()).hexdigest()

    async def deletions(self) -> list[Bound]:
        """What whoever deletes waits for: small datasets, and at last the large one."""
        small = [await self._deleted(dataset, f"Small {n}") for n, dataset in self._first_small()]
        large = await self._deleted(self.where.dataset, "Benchmark of scale")
        return [
            Bound("answer to a deletion, slowest of ten", 200, max(small), "ms"),
            Bound(f"the same with {self.amount.annotations:,} annotations", 200, large, "ms"),
        ]

    def _first_small(self) -> list[tuple[int, str]]:
        return list(enumerate(self.where.small_datasets[:10], 1))

    async def _deleted(self, dataset: str, name: str) -> float:
        return await self._waited(self._request("DELETE", f"/datasets/{dataset}", {"dataset_name_confirmation": name}))

    async def _waited(self, request: Request) -> float:
        """Milliseconds until one answer is there whole. Raises SystemExit for any but a success."""
        started = perf_counter()
        status = await self.connection.ask(request.encoded())
        if not 200 <= status < 300:
            raise SystemExit(f"{request.method} {request.url} was answered with {status}")
        return (perf_counter() - started) * 1000


def _p95(waits: Sequence[float]) -> float:
    return quantiles(waits, n=20)[-1] if len(waits) > 1 else waits[0]


def _forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # proc(5): resets the peak resident size


def _peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) * 1024


async def _connected(url: str) -> Connection:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return (await asyncio.get_running_loop().create_connection(Connection, parts.hostname, parts.port))[1]


def _spent(ready: Mapping[str, Any]) -> float:
    """CPU seconds of the API and of PostgreSQL so far: what a busy machine leaves as it is."""
    return cpu_seconds(ready["pids"]["api"], children=False) + cpu_seconds(ready["pids"]["postgres"])


def _quietly(_: str) -> None:
    pass


async def measured(
    ready: Mapping[str, Any], amount: Amount, times: int = _TIMES, told: Callable[[str], None] = _quietly
) -> list[Bound]:
    """Fill the database of a running stack and measure; what is deleted goes last. `told` hears of each step."""
    server = api_of(ready)
    (person, *_) = await people(ready, environment_of(server.pid)["JWT_SECRET_KEY"])
    async with httpx.AsyncClient(base_url=server.url, timeout=120, headers=person.headers) as api:
        where = await fill(ready["databases"]["labeler"], api, person, amount)
        found: list[Bound] = []
        for measure in (Scene.lists, Scene.stats, Scene.saves, Scene.exports, Scene.deletions):
            # One for each step: during an export the server would end it as idle.
            connection = await _connected(server.url)
            scene = Scene(server, api, connection, person, where, amount, times)
            try:
                began = perf_counter(), _spent(ready)
                bounds = await measure(scene)
                taken = [late - early for late, early in zip((perf_counter(), _spent(ready)), began, strict=True)]
                said = ", ".join(f"{bound.name} {bound.took:,.0f} {bound.unit}" for bound in bounds)
                told(f"{taken[0]:.0f} s, CPU {taken[1]:.0f} s: {said}")
                found += bounds
            finally:
                connection.close()
        return found


async def main(given: argparse.Namespace) -> None:
    """Run the benchmark, print its table or write it into the page, and say whether the bounds hold."""
    amount = Amount(given.annotations, given.images, given.projects)
    with tempfile.TemporaryDirectory() as home:
        async with stack(Path(home), "--no-demo") as ready:
            console = Console(width=150, stderr=True)
            found = await measured(ready, amount, told=console.print)
    title = f"{amount.annotations:,} annotations, {amount.images:,} images, {amount.projects:,} projects"
    bars = [Bar(bound.name, bound.took / bound.most * 100, 100) for bound in found]
    picture = chart(f"{title}, in % of what it may take", bars, now="took", before="may take")
    rows = [bound.cells() for bound in found]
    figures.show(
        Figures("scale", title, COLUMNS, rows, [f"One call at a time, {load_now()}"], picture=picture),
        write=given.write,
    )
    if broken := [bound.name for bound in found if not bound.is_held]:
        raise SystemExit(f"too much: {'; '.join(broken)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--annotations", type=int, default=1_000_000)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--projects", type=int, default=500)
    figures.add_write(parser)
    asyncio.run(main(parser.parse_args()))
