"""Who saves on one image waits for nobody who changes another: neither for work on many, nor for who is far away.

Each kind of change of many images is one call of the database, or has its locks for its last moments only.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.far import Far
from tests.fixtures.annotating import at, box, check_counters, create_annotation
from tests.fixtures.annotation_files import boxes, coco, stored
from tests.fixtures.api_processes import Cluster
from tests.fixtures.datasets import Dataset
from tests.fixtures.timing import check_within
from tests.races.test_imports import added, standing_import

MEMBERS = {"admin": "admin", "reviewer": "reviewer", "annotator": "annotator"}
CLASSES = {"detection": {"c1": {"name": "scratch", "color": "#ff0000", "order": 0}}}
TASK = {"task_type": "detection"}
NAMES = ["train/good/0000.jpg", "train/good/0001.jpg"]
IMAGES, FREE = 40, 35  # work is done on the images before the first free one, saves on those behind
UNTOUCHED = 2000  # images for saves beside a replacing import: more than two people save on while it is at work
REPLACED, STANDING_SECONDS = 1000, 0.5
IMPORTERS = {**MEMBERS, "reviewer": "admin"}

# One way and back. Whoever had to wait for a lock that is held from one statement to the next would wait for as long.
# Who waits for nobody takes some 10 ms, and some 200 ms on a machine with much else to do.
AWAY_SECONDS = 0.8
LOCK_SECONDS = 0.25

Prepare = Callable[[httpx.AsyncClient, Dataset], Awaitable[Any]]
Work = Callable[[httpx.AsyncClient, Dataset, Any], Awaitable[httpx.Response]]


def classes(dataset: Dataset) -> str:
    return f"/api/v1/projects/{dataset.project_id}/classes"


async def a_class(client: httpx.AsyncClient, dataset: Dataset) -> str:
    added = await client.post(classes(dataset), params=TASK, json={"name": "not needed", "color": "#102030"})
    return f"{classes(dataset)}/{added.json()['class_id']}"


async def delete_class(client: httpx.AsyncClient, _dataset: Dataset, of: str) -> httpx.Response:
    return await client.delete(of, params=TASK)


async def nothing(_client: httpx.AsyncClient, _dataset: Dataset) -> None:
    return None


async def batch(client: httpx.AsyncClient, dataset: Dataset, _: None) -> httpx.Response:
    items = [box(dataset, number % FREE) for number in range(1000)]
    return await client.post("/api/v1/annotations/batch", json={"annotations": items})


async def some(client: httpx.AsyncClient, dataset: Dataset) -> list[int]:
    ids: list[int] = (await batch(client, dataset, None)).json()["annotation_ids"]
    return ids


async def confirm_many(client: httpx.AsyncClient, _dataset: Dataset, ids: list[int]) -> httpx.Response:
    return await client.post("/api/v1/annotations/bulk-confirm", json={"annotation_ids": ids})


async def confirm_image(client: httpx.AsyncClient, dataset: Dataset, _: list[int]) -> httpx.Response:
    url = f"/api/v1/projects/{dataset.project_id}/images/{dataset.image_ids[1]}/confirm"
    return await client.post(url, params=TASK, json={})


async def changed(client: httpx.AsyncClient, dataset: Dataset) -> dict[str, Any]:
    old = await create_annotation(client, box(dataset, 0))
    await client.put(at(old), json={"notes": "new"})
    return old


async def restore(client: httpx.AsyncClient, _dataset: Dataset, old: dict[str, Any]) -> httpx.Response:
    return await client.post(at(old, "/restore"), json={"revision": 1})


async def add_pictures(client: httpx.AsyncClient, dataset: Dataset, _: None) -> httpx.Response:
    return await added(client, dataset, coco(boxes(*[1, 2] * 300), NAMES))


WORK: dict[str, tuple[Prepare, Work]] = {
    "class deleted": (a_class, delete_class),
    "batch": (nothing, batch),
    "bulk confirmation": (some, confirm_many),
    "image confirmed": (some, confirm_image),
    "restore": (changed, restore),
}


class Savers:
    """Two people who draw boxes on images of their own, and how long each of their saves took.

    Each has one image, or takes the next of `images` for each box.
    """

    def __init__(self, cluster: Cluster, dataset: Dataset, images: Iterator[int] | None = None) -> None:
        self._clients = [cluster.client("annotator", 1), cluster.client("reviewer", 1)]
        self._dataset = dataset
        self._images = images
        self._done = asyncio.Event()
        self.seconds: list[float] = []

    async def work(self, number: int) -> None:
        client, image = self._clients[number], FREE + number
        while not self._done.is_set():
            image = image if self._images is None else next(self._images)
            started = time.monotonic()
            answer = await client.post("/api/v1/annotations", json=box(self._dataset, image))
            self.seconds.append(time.monotonic() - started)
            assert answer.status_code == 200, answer.text
            await asyncio.sleep(0.02)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.work(number)) for number in range(len(self._clients))]
        try:
            yield
        finally:
            self._done.set()
            await asyncio.gather(*tasks)


async def _workshop(cluster: Cluster) -> Dataset:
    dataset = await cluster.api.dataset(images=IMAGES, tasks=["detection"], members=MEMBERS, classes=CLASSES)
    await stored(cluster.api, dataset, coco(boxes(*[1, 2] * 40), NAMES))
    return dataset


async def test_nobody_waits_for_who_is_far_away(cluster: Cluster, tmp_path: Path) -> None:
    """Not for an import, which has the images that it names for long, and says so to others."""
    dataset, near = await _workshop(cluster), cluster.client("owner")
    async with Far(cluster.processes[0].database) as far, _distant(cluster, far, tmp_path) as owner:
        for prepare, work in WORK.values():  # its statements are prepared after that
            assert (await work(owner, dataset, await prepare(near, dataset))).is_success
        slowest = {}
        for kind, (prepare, work) in WORK.items():
            savers, prepared = Savers(cluster, dataset), await prepare(near, dataset)
            async with savers.at_work():
                far.one_way_seconds = AWAY_SECONDS / 2
                answer = await work(owner, dataset, prepared)
                far.one_way_seconds = 0.0
            assert answer.is_success, answer.text
            slowest[kind] = max(savers.seconds)
    assert {kind: seconds for kind, seconds in slowest.items() if seconds > AWAY_SECONDS} == {}
    await check_counters(cluster.api, dataset)


@asynccontextmanager
async def _distant(cluster: Cluster, far: Far, directory: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The owner's client of a process whose way to the database is that long."""
    process = cluster.processes[0].sibling(directory / "distant.log", LABELER_DB_URL=far.dsn, JOBS="off")
    process.launch()
    headers = {"Authorization": f"Bearer {cluster.api.token(2, 'owner@example.com')}"}
    try:
        await process.ready()
        async with httpx.AsyncClient(base_url=process.url, headers=headers, timeout=120, trust_env=False) as client:
            yield client
    finally:
        await process.stop()


# The longest that a save waits for a lock at this moment.
_WAITS = """
    SELECT COALESCE(max(extract(epoch FROM clock_timestamp() - l.waitstart)), 0)::float8
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE NOT l.granted AND a.datname = current_database() AND a.query LIKE '%create\\_annotation\\_%'
"""


async def test_saves_wait_for_no_lock_of_large_work(cluster: Cluster) -> None:
    dataset = await _workshop(cluster)
    longest = await _longest_wait(cluster, Savers(cluster, dataset), _all(cluster.client("owner"), dataset))
    check_within(longest, LOCK_SECONDS)
    await check_counters(cluster.api, dataset)


async def test_saves_wait_for_no_lock_of_a_replacing_import(cluster: Cluster) -> None:
    """On images without annotations: those that have some are the import's, which takes none that people work on."""
    dataset = await cluster.api.dataset(images=UNTOUCHED, tasks=["detection"], members=IMPORTERS, classes=CLASSES)
    items = [box(dataset, 1 + number % 30) for number in range(REPLACED)]
    importer = cluster.client("reviewer")
    assert (await importer.post("/api/v1/annotations/batch", json={"annotations": items})).is_success
    marked = asyncio.Event()
    replacing = asyncio.create_task(_replaced(cluster, dataset, marked))
    await marked.wait()
    savers = Savers(cluster, dataset, iter(range(FREE, UNTOUCHED)))
    longest = await _longest_wait(cluster, savers, replacing)
    check_within(longest, LOCK_SECONDS)
    assert savers.seconds
    await check_counters(cluster.api, dataset)


async def _longest_wait(cluster: Cluster, savers: Savers, work: Awaitable[Any]) -> float:
    """Have the work done beside the savers; return for how long one of them waited for a lock at most."""
    waits = [0.0]
    async with savers.at_work(), cluster.api.db.read() as connection:
        working = asyncio.ensure_future(work)
        while not working.done():
            waits.append(await connection.fetchval(_WAITS))
            await asyncio.sleep(0.01)
        await working
    return max(waits)


async def _replaced(cluster: Cluster, dataset: Dataset, marked: asyncio.Event) -> None:
    """Replace everything; the import stands still for a moment where it has written its annotations."""
    async with standing_import(cluster, dataset, force=True) as importing:
        marked.set()
        await asyncio.sleep(STANDING_SECONDS)
    answer = await importing
    assert answer.is_success, answer.text
    assert answer.json()["report"]["replaced"] == REPLACED


async def _all(client: httpx.AsyncClient, dataset: Dataset) -> None:
    every: list[tuple[Prepare, Work]] = [*WORK.values(), (nothing, add_pictures)]
    for prepare, work in every:
        answer = await work(client, dataset, await prepare(client, dataset))
        assert answer.is_success, answer.text
