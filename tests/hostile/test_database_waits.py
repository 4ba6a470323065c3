"""One person imports and saves, sixteen at a time, in one project. Everybody else reads, saves and is healthy."""

import asyncio
import time
from collections import Counter

import httpx

from tests.fixtures.annotating import box
from tests.fixtures.annotation_files import boxes, coco, stored
from tests.fixtures.datasets import Dataset
from tests.fixtures.timing import check_within
from tests.hostile.attacked import Attacked

_SAVERS = 16
_ANSWER_SECONDS = 30.0  # what every call has to be answered within
_LOCKED_SECONDS = 8.0  # longer than a statement waits for a lock
_REFUSALS = {429, 503}


async def save_on(
    client: httpx.AsyncClient, dataset: Dataset, image: int, ended: asyncio.Event
) -> list[tuple[int, float]]:
    """Save again and again; the status and the seconds of each."""
    seen = []
    while not ended.is_set():
        started = time.monotonic()
        answer = await client.post("/api/v1/annotations", json=box(dataset, image))
        seen.append((answer.status_code, time.monotonic() - started))
        if answer.status_code in _REFUSALS:
            assert int(answer.headers["Retry-After"]) >= 1
            await asyncio.sleep(0.2)
    return seen


async def watch_ready(client: httpx.AsyncClient, ended: asyncio.Event) -> Counter[int]:
    """Ask as a platform's probe does."""
    seen: Counter[int] = Counter()
    while not ended.is_set():
        seen[(await client.get("/health/ready")).status_code] += 1
        await asyncio.sleep(0.1)
    return seen


async def test_an_import_and_many_saves_of_one_person(attacked: Attacked) -> None:
    dataset = await attacked.api.dataset(tasks=["detection"], images=_SAVERS)
    await stored(attacked.api, dataset, coco(boxes(*[1] * 40_000)))
    owner, ended = attacked.client("owner"), asyncio.Event()
    async with attacked.bystander():
        ready = asyncio.create_task(watch_ready(attacked.client(), ended))
        importing = asyncio.create_task(
            owner.post(f"/api/v1/annotations/import/project/{dataset.project_id}", timeout=120.0)
        )
        savers = [asyncio.create_task(save_on(owner, dataset, image, ended)) for image in range(_SAVERS)]
        await importing
        await asyncio.sleep(1)
        ended.set()
        saves = [one for seen in await asyncio.gather(*savers) for one in seen]
    assert set(await ready) == {200}
    assert {status for status, _ in saves} <= {200, 423, *_REFUSALS}
    check_within(max(seconds for _, seconds in saves), _ANSWER_SECONDS + 5)
    assert saves[-1][0] in {200, 423}


async def test_a_project_that_stands_still(attacked: Attacked) -> None:
    """Nobody lets go of its row: whoever writes to it waits, and takes no connection that others need."""
    dataset = await attacked.api.dataset(tasks=["detection"], images=_SAVERS, members={"annotator": "annotator"})
    people, ended = [attacked.client("owner"), attacked.client("annotator")], asyncio.Event()
    async with attacked.bystander():
        ready = asyncio.create_task(watch_ready(attacked.client(), ended))
        async with attacked.api.db.begin() as tx:
            await tx.execute("SELECT FROM annotation_projects WHERE id = $1 FOR UPDATE", dataset.project_id)
            savers = [
                asyncio.create_task(save_on(client, dataset, image, ended))
                for client in people
                for image in range(_SAVERS)
            ]
            until = time.monotonic() + _LOCKED_SECONDS
            while time.monotonic() < until:
                await tx.fetchval("SELECT 1")  # a transaction that is at work
                await asyncio.sleep(0.5)
        ended.set()
        saves = [one for seen in await asyncio.gather(*savers) for one in seen]
    assert set(await ready) == {200}
    assert {status for status, _ in saves} <= {200, 423, *_REFUSALS}
    check_within(max(seconds for _, seconds in saves), _ANSWER_SECONDS + 5)
    assert (await people[0].post("/api/v1/annotations", json=box(dataset, 0))).status_code in {200, 423}
