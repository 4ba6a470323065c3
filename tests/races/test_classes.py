"""Classes that many people edit at once: nothing is lost, and no class that is in use goes away."""

import asyncio
from typing import Any

import httpx
import msgspec

from tests.fixtures.api_processes import Cluster, seeded
from tests.fixtures.datasets import Dataset
from tests.fixtures.rows import rows

TASK = {"task_type": "detection"}


def url(dataset: Dataset, class_id: str = "") -> str:
    return f"/api/v1/projects/{dataset.project_id}/classes" + (f"/{class_id}" if class_id else "")


async def stored(cluster: Cluster, dataset: Dataset) -> dict[str, dict[str, Any]]:
    (row,) = await rows(cluster.api, "SELECT task_classes FROM annotation_projects WHERE id = $1", dataset.project_id)
    classes: dict[str, dict[str, Any]] = msgspec.json.decode(row["task_classes"])["detection"]
    return classes


async def test_edits_of_every_kind_at_once(cluster: Cluster) -> None:
    dataset = await cluster.api.dataset(tasks=["detection"], images=1, members={"admin": "admin"})
    clients = cluster.clients("owner") + cluster.clients("admin")
    kept = [f"kept{n}" for n in range(6)]
    for class_id in [*kept, *(f"gone{n}" for n in range(6))]:
        body = {"class_id": class_id, "name": class_id, "color": "#102030"}
        assert (await clients[0].post(url(dataset), params=TASK, json=body)).status_code == 201

    def edits(number: int) -> list[Any]:
        client = clients[number % 4]
        body = {"class_id": f"new{number}", "name": f"new {number}", "color": "#102030"}
        order = seeded(number).sample(kept, len(kept))
        return [
            client.post(url(dataset), params=TASK, json=body),
            client.patch(url(dataset, kept[number]), params=TASK, json={"name": f"renamed {number}"}),
            client.patch(url(dataset, kept[number]), params=TASK, json={"color": f"#00000{number}"}),
            client.patch(url(dataset, kept[number]), params=TASK, json={"description": f"about {number}"}),
            client.delete(url(dataset, f"gone{number}"), params=TASK),
            client.put(url(dataset, "reorder"), params=TASK, json={"class_ids": order}),
        ]

    answers = await asyncio.gather(*(call for number in range(6) for call in edits(number)))
    assert {answer.status_code for answer in answers} <= {200, 201, 204}, [answer.text for answer in answers]
    classes = await stored(cluster, dataset)
    assert sorted(classes) == sorted([*kept, *(f"new{n}" for n in range(6))])
    for number, class_id in enumerate(kept):
        found = classes[class_id]
        assert found["name"] == f"renamed {number}"
        assert found["color"] == f"#00000{number}"
        assert found["description"] == f"about {number}"
    assert sorted(classes[class_id]["order"] for class_id in kept) == list(range(6))
    revision = "SELECT revision FROM annotation_projects WHERE id = $1"
    (row,) = await rows(cluster.api, revision, dataset.project_id)
    assert row["revision"] == 12 + 36


async def test_one_id_for_many_classes(cluster: Cluster) -> None:
    dataset = await cluster.api.dataset(tasks=["detection"], images=1)
    clients = cluster.clients("owner")
    bodies = [{"class_id": "same", "name": f"class {n}", "color": "#102030"} for n in range(10)]
    answers = await asyncio.gather(
        *(clients[n % 2].post(url(dataset), params=TASK, json=body) for n, body in enumerate(bodies))
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
    (winner,) = [answer.json() for answer in answers if answer.status_code == 201]
    assert (await stored(cluster, dataset))["same"]["name"] == winner["name"]


async def test_a_class_that_is_deleted_while_it_is_used(cluster: Cluster) -> None:
    """An annotation may have a class that is gone, as undo needs it; but a class in use is not deleted."""
    dataset = await cluster.api.dataset(tasks=["detection"], images=8)
    clients = cluster.clients("owner")

    async def race(number: int) -> None:
        class_id = f"c{number}"
        body = {"class_id": class_id, "name": class_id, "color": "#102030"}
        assert (await clients[0].post(url(dataset), params=TASK, json=body)).status_code == 201
        deleted, used = await asyncio.gather(
            clients[number % 2].delete(url(dataset, class_id), params=TASK),
            _use(clients[1 - number % 2], dataset, number),
        )
        assert (deleted.status_code, used.status_code) in {(204, 200), (409, 200)}
        assert (class_id in await stored(cluster, dataset)) == (deleted.status_code == 409)

    await asyncio.gather(*(race(number) for number in range(8)))


async def _use(client: httpx.AsyncClient, dataset: Dataset, number: int) -> httpx.Response:
    geometry = {"type": "bbox", "bbox": [1, 2, 3, 4], "image_width": 640, "image_height": 480}
    body = {"project_id": dataset.project_id, "image_id": dataset.image_ids[number], "annotation_type": "bbox"}
    return await client.post("/api/v1/annotations", json={**body, "geometry": geometry, "class_id": f"c{number}"})
