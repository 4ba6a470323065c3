"""Statuses, counters and versions after storms over two processes: what a count says, each number once."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable
from functools import partial
from typing import Any

import httpx

from tests.fixtures.annotating import Draw, box, check_counters, create_annotation, no_object, polygon
from tests.fixtures.api_processes import Cluster, seeded
from tests.fixtures.datasets import Dataset
from tests.fixtures.rows import rows
from tests.fixtures.versions import CLASSES

MEMBERS = {"admin": "admin", "reviewer": "reviewer", "annotator": "annotator"}
TASKS = ["detection", "segmentation"]
IMAGES = 3
DRAWINGS: list[Draw] = [box, box, polygon, no_object]


def deed(
    client: httpx.AsyncClient, dataset: Dataset, choose: random.Random, known: list[int]
) -> Awaitable[httpx.Response]:
    """Do something to one of the images, or to an annotation that somebody drew there."""
    image = choose.randrange(IMAGES)
    of_image = f"/api/v1/projects/{dataset.project_id}/images/{dataset.image_ids[image]}"
    one = f"/api/v1/annotations/{choose.choice(known)}" if known else ""
    draw: Draw = choose.choice(DRAWINGS)
    deeds = {
        "draw": partial(client.post, "/api/v1/annotations", json=draw(dataset, image)),
        "image": partial(client.post, f"{of_image}/confirm", json={}),
        "task": partial(client.post, f"{of_image}/unconfirm", params={"task_type": "detection"}, json={}),
    }
    if one:
        deeds |= {
            "edit": partial(client.put, one, json={"notes": str(choose.random())}),
            "delete": partial(client.delete, one),
            "confirm": partial(client.post, f"{one}/confirm", json={}),
            "unconfirm": partial(client.post, f"{one}/unconfirm", json={}),
        }
    return deeds[choose.choice([*deeds, "draw", "delete" if one else "draw"])]()


async def test_a_storm_of_changes(cluster: Cluster) -> None:
    dataset = await cluster.api.dataset(tasks=TASKS, images=IMAGES, members=MEMBERS)
    shared: list[int] = []
    met = Counter[int]()

    async def work(number: int, client: httpx.AsyncClient) -> None:
        choose = seeded(5, number)
        for _ in range(25):
            answer = await deed(client, dataset, choose, shared)
            met[answer.status_code] += 1
            # 404 somebody deleted it, 400 there is nothing to confirm, 423 another account holds the image
            assert answer.status_code in {200, 400, 404, 423}, answer.text
            if answer.status_code == 200 and "version" in answer.json():
                shared.append(answer.json()["id"])

    accounts = ["owner", "owner", "owner", "reviewer", "reviewer", "admin"]
    clients = [client for account in accounts for client in cluster.clients(account)]
    await asyncio.gather(*(work(number, client) for number, client in enumerate(clients)))
    assert met[200] > 50
    await check_counters(cluster.api, dataset)
    assert await _wrong_statuses(cluster, dataset) == []
    await _check_history(cluster, dataset)


async def _wrong_statuses(cluster: Cluster, dataset: Dataset) -> list[dict[str, Any]]:
    """Confirmed with a draft on the image, or a word that does not fit the flag."""
    return await rows(
        cluster.api,
        "SELECT * FROM image_annotation_status WHERE project_id = $1 AND ("
        " is_image_confirmed AND draft_annotations > 0 OR is_image_confirmed <> (status = 'completed')"
        " OR is_image_confirmed <> (confirmed_at IS NOT NULL))",
        dataset.project_id,
    )


async def _check_history(cluster: Cluster, dataset: Dataset) -> None:
    """Every revision once, without gaps, and the last one is the annotation as it is."""
    histories = await rows(
        cluster.api,
        "SELECT h.annotation_id, array_agg(h.revision ORDER BY h.id) AS numbers,"
        " (array_agg(h.new_state ORDER BY h.id DESC))[1] = to_jsonb(a) AS is_last,"
        " (array_agg(h.action ORDER BY h.id DESC))[1] AS action, a.id"
        " FROM annotation_history h LEFT JOIN annotations a ON a.id = h.annotation_id"
        " WHERE h.project_id = $1 GROUP BY h.annotation_id, a.id, a.*",
        dataset.project_id,
    )
    assert histories
    for row in histories:
        assert row["numbers"] == list(range(1, len(row["numbers"]) + 1))
        assert row["action"] == "delete" if row["id"] is None else row["is_last"], row


async def test_publishing_from_both_processes(cluster: Cluster) -> None:
    """Each gets a number of its own, and a file of one moment, while others go on drawing."""
    dataset = await cluster.api.dataset(tasks=["detection"], images=3, classes=CLASSES, members=MEMBERS)
    clients, url = cluster.clients("owner"), f"/api/v1/projects/{dataset.project_id}/versions/publish"
    await create_annotation(clients[0], box(dataset))

    async def draw() -> None:
        for number in range(12):
            await create_annotation(clients[number % 2], box(dataset, number % 3))

    body = {"task_type": "detection", "export_format": "dice", "include_draft": True}
    publishing = [clients[n % 2].post(url, json=body) for n in range(6)]
    *answers, _ = await asyncio.gather(*publishing, draw())
    assert [answer.status_code for answer in answers if answer is not None] == [200] * 6
    versions = [answer.json() for answer in answers if answer is not None]
    assert {version["version_number"] for version in versions} == {f"v{n}.0" for n in range(1, 7)}
    for version in versions:
        path = version["download_url"].partition("/media/")[2]
        file = await clients[0].get(f"/media/{path}")
        assert file.status_code == 200
        assert file.json()["statistics"]["total_annotations"] == version["annotation_count"]
    assert (
        len(await rows(cluster.api, "SELECT * FROM annotation_versions WHERE project_id = $1", dataset.project_id)) == 6
    )


async def test_one_number_for_many(cluster: Cluster) -> None:
    dataset = await cluster.api.dataset(tasks=["detection"], images=1, classes=CLASSES)
    clients, url = cluster.clients("owner"), f"/api/v1/projects/{dataset.project_id}/versions/publish"
    await create_annotation(clients[0], box(dataset))
    body = {"task_type": "detection", "export_format": "dice", "include_draft": True, "version_number": "v7.0"}
    answers = await asyncio.gather(*(clients[n % 2].post(url, json=body) for n in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
    assert (
        len(await rows(cluster.api, "SELECT * FROM annotation_versions WHERE project_id = $1", dataset.project_id)) == 1
    )


async def test_one_idempotency_key_for_many(cluster: Cluster) -> None:
    """A create that is sent again, at the same moment or later, to whichever process: one annotation, one answer."""
    dataset = await cluster.api.dataset(tasks=["detection"], images=1)
    clients = cluster.clients("owner")
    headers = {"Idempotency-Key": f"once-{dataset.project_id}"}
    answers = await asyncio.gather(
        *(clients[n % 2].post("/api/v1/annotations", json=box(dataset), headers=headers) for n in range(12))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
    stored = await rows(cluster.api, "SELECT id FROM annotations WHERE project_id = $1", dataset.project_id)
    assert len(stored) == 1
    await check_counters(cluster.api, dataset)
