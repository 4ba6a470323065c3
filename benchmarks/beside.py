"""What others wait for their saves, on images of their own, while somebody does long work in the same project.

Where a save waits for a lock, what it waited for is counted, too: PostgreSQL is asked a hundred times a second who
waits for whom.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import asyncpg
import httpx
from rich.table import Table

from benchmarks.imports import PNG, coco
from benchmarks.people import Person, Project, project

_IMAGES, _BUSY_FROM = 1000, 11  # the savers have the ten before
_SAVERS = 3
_PAUSE_SECONDS = 0.02
_SECONDS = 900.0
_LEASE_SECONDS = 65  # what a save holds its image for
_BATCH, _BULK = 5000, 1000
_WAITING = r"""
    WITH active AS (
        SELECT pid, state, wait_event_type, wait_event,
               substring(regexp_replace(query, '\s+', ' ', 'g') FROM 1 FOR 50)
               || coalesce(' … ' || substring(query FROM 'FOR [A-Z ]+ OF p'), '') AS query
        FROM pg_stat_activity
    )
    SELECT a.query AS waiting, a.wait_event, b.query AS holding, b.state
    FROM active a CROSS JOIN LATERAL unnest(pg_blocking_pids(a.pid)) AS blocking (pid)
    JOIN active b ON b.pid = blocking.pid
    WHERE a.wait_event_type = 'Lock'
"""
_BOX = {"type": "bbox", "bbox": [1, 2, 30, 40], "image_width": 640, "image_height": 480}


@dataclass
class Saves:
    """What was waited for saves, in milliseconds; how many were refused; and who waited for whom, by samples."""

    waits: list[float] = field(default_factory=list)
    refused: int = 0
    holders: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)


@dataclass(frozen=True)
class Scene:
    """A project, somebody who does long work in it, and others who save: there, or in another one."""

    api: httpx.AsyncClient
    dsn: str
    where: Project
    saved_in: Project
    busy: Person
    savers: Sequence[Person]

    async def send(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """Send a call of who does the long work. Raises for any answer but a success."""
        path = f"/api/v1{path}"
        answer = await self.api.request(method, path, json=body, headers=self.busy.headers, timeout=_SECONDS, **more)
        if not answer.is_success:
            raise SystemExit(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer

    @asynccontextmanager
    async def saving(self) -> AsyncIterator[Saves]:
        """Have the others save while the block runs."""
        saves = Saves()
        ended = asyncio.Event()
        tasks = [
            asyncio.create_task(self._save(one, number + 1, saves, ended)) for number, one in enumerate(self.savers)
        ]
        tasks.append(asyncio.create_task(self._watch(saves, ended)))
        try:
            yield saves
        finally:
            ended.set()
            await asyncio.gather(*tasks)

    async def _save(self, person: Person, image: int, saves: Saves, ended: asyncio.Event) -> None:
        body = box(self.saved_in, image)
        while not ended.is_set():
            started = perf_counter()
            answer = await self.api.post("/api/v1/annotations", json=body, headers=person.headers)
            saves.waits.append((perf_counter() - started) * 1000)
            saves.refused += not answer.is_success
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _watch(self, saves: Saves, ended: asyncio.Event) -> None:
        database = await asyncpg.connect(self.dsn)
        while not ended.is_set():
            saves.holders.update(tuple(row) for row in await database.fetch(_WAITING))
            await asyncio.sleep(0.01)
        await database.close()


def box(where: Project, image: int) -> dict[str, Any]:
    """One box, as it is sent."""
    body = {"project_id": where.id, "image_id": f"train/{image}", "annotation_type": "bbox", "geometry": _BOX}
    return {**body, "class_id": "1", "class_name": "class 1"}


Work = Callable[[Scene], Awaitable[Any]]


async def _nothing(_: Scene) -> None:
    await asyncio.sleep(3)


def _importing(boxes: int) -> Work:
    async def run(scene: Scene) -> None:
        content = coco(boxes, _IMAGES - _BUSY_FROM, first=_BUSY_FROM)
        files = [("files", ("extra.png", PNG)), ("annotation_file", ("labels.json", content))]
        await scene.send("POST", f"/datasets/{scene.where.dataset_id}/images", files=files)

    return run


async def _replacing(scene: Scene) -> None:
    await scene.send("POST", f"/annotations/import/project/{scene.where.id}?force=true")


async def _batch(scene: Scene) -> None:
    span = _IMAGES - _BUSY_FROM
    items = [box(scene.where, _BUSY_FROM + number % span) for number in range(_BATCH)]
    await scene.send("POST", "/annotations/batch", {"annotations": items})


async def _bulk(scene: Scene) -> None:
    ids = list(scene.where.annotation_ids[_BUSY_FROM:])[:_BULK]
    await scene.send("POST", "/annotations/bulk-confirm", {"annotation_ids": ids})


async def _class(scene: Scene) -> None:
    path = f"/projects/{scene.where.id}/classes"
    made = await scene.send("POST", f"{path}?task_type=detection", {"name": "of no use", "color": "#ff0000"})
    await scene.send("DELETE", f"{path}/{made.json()['class_id']}?task_type=detection")


async def _restore(scene: Scene) -> None:
    made = (await scene.send("POST", "/annotations", box(scene.where, _BUSY_FROM))).json()["id"]
    await scene.send("PUT", f"/annotations/{made}", {"geometry": _BOX})
    await scene.send("POST", f"/annotations/{made}/restore", {"revision": 1})


def _often(work: Work, times: int) -> Work:
    async def run(scene: Scene) -> None:
        for _ in range(times):
            await work(scene)

    return run


def _both(one: Work, other: Work) -> Work:
    async def run(scene: Scene) -> None:
        await asyncio.gather(one(scene), other(scene))

    return run


async def beside_long_work(
    dsn: str, api: httpx.AsyncClient, persons: Sequence[Person], boxes: int
) -> tuple[Table, Table]:
    """Save beside each kind of long work; what was waited, and for whom."""
    table, holders = Table(title="What saves on other images waited for, meanwhile"), Table(title="Who waited for whom")
    for column in ("meanwhile", "took s", "saves", "p50 ms", "p95 ms", "slowest ms", "refused"):
        table.add_column(column, justify="left" if column == "meanwhile" else "right", no_wrap=True)
    for column in ("meanwhile", "samples", "waiting", "for", "holding", "state"):
        holders.add_column(column)
    kinds: dict[str, Work] = {
        "nothing": _nothing,
        f"an import of {boxes:,} boxes": _importing(boxes),
        f"{boxes:,} boxes replaced, another project": _replacing,
        f"five batches of {_BATCH:,}": _often(_batch, 5),
        f"five bulk confirmations of {_BULK:,}": _often(_bulk, 5),
        "twenty classes deleted": _often(_class, 20),
        "twenty annotations restored": _often(_restore, 20),
        "batches, and classes deleted": _both(_often(_batch, 5), _often(_class, 20)),
    }
    place: Project | None = None
    for name, work in kinds.items():
        saved_in = await project(dsn, api, persons[0], members=persons, images=_IMAGES)
        # A replacing import needs what was imported, and refuses to replace what somebody works on.
        if place is None or work is not _replacing:
            place = saved_in
        else:
            await asyncio.sleep(_LEASE_SECONDS)
        scene = Scene(api, dsn, place, saved_in, persons[0], persons[1 : 1 + _SAVERS])
        async with scene.saving() as saves:
            started = perf_counter()
            await work(scene)
            took = perf_counter() - started
        waits = saves.waits
        table.add_row(
            *(name, f"{took:.1f}", str(len(waits)), f"{median(waits):.0f}", f"{quantiles(waits, n=20)[-1]:.0f}"),
            *(f"{max(waits):.0f}", str(saves.refused)),
        )
        for (waiting, event, holding, state), samples in saves.holders.most_common(5):
            holders.add_row(name, str(samples), waiting, event, holding, state)
    return table, holders
