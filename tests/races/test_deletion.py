"""A dataset or a project goes away while others write to it: clear answers, and no row is left."""

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest

from tests.fixtures.annotating import box, create_annotation
from tests.fixtures.api_processes import CROWD, Cluster
from tests.fixtures.datasets import Dataset
from tests.fixtures.full_dataset import done, workers
from tests.fixtures.pictures import picture
from tests.fixtures.rows import rows
from tests.fixtures.versions import CLASSES
from tests.fixtures.waiting import until

People = dict[str, list[httpx.AsyncClient]]

MEMBERS = {"reviewer": "admin", "annotator": "annotator"}  # the account "admin" is a system admin, who is told more
TASK = {"task_type": "detection"}
# Not found is the answer once it is gone; the others are what a living project may answer.
EXPECTED = {200, 201, 204, 404, 423}
_BATCH = 2  # the place of the batch among the deeds: it answers 200, and refuses each of its items
_DEEDS_AT_LEAST = 3  # of each kind, before the deletion


async def whatever_people_do(people: People, dataset: Dataset, number: int, turn: int) -> httpx.Response:
    """One of many things, from one of the processes."""
    admin, annotator = people["reviewer"][turn % 2], people["annotator"][(turn + 1) % 2]
    project, image = f"/api/v1/projects/{dataset.project_id}", number % 3
    lock = f"/api/v1/image-locks/{dataset.project_id}/{dataset.image_ids[image]}/acquire"
    kinds: list[Any] = [
        lambda: annotator.post("/api/v1/annotations", json=box(dataset, image)),
        lambda: annotator.post("/api/v1/annotations", json=box(dataset, image, project_id=dataset.id)),
        lambda: annotator.post("/api/v1/annotations/batch", json={"annotations": [box(dataset, image)] * 3}),
        lambda: annotator.post(lock),
        lambda: admin.post(f"{project}/images/{dataset.image_ids[image]}/unconfirm", json={}),
        lambda: admin.post(f"{project}/classes", params=TASK, json={"name": f"{number}-{turn}", "color": "#102030"}),
        lambda: admin.post(
            f"{project}/versions/publish", json={**TASK, "export_format": "dice", "include_draft": True}
        ),
        lambda: admin.post(
            f"/api/v1/datasets/{dataset.id}/images",
            files={"files": (f"new/{number}-{turn}.png", picture(8, 8, "PNG"), "image/png")},
        ),
        lambda: admin.post(
            f"{project}/permissions",
            json={"user_email": f"user{CROWD[number * 3 % 100 + turn % 3]}@example.com", "role": "viewer"},
        ),
        lambda: annotator.get(f"{project}/images/status"),
        lambda: annotator.get(f"/api/v1/annotations/project/{dataset.project_id}"),
    ]
    answer: httpx.Response = await kinds[number % len(kinds)]()
    return answer


async def live_until_gone(people: People, dataset: Dataset, number: int, met: Counter[int]) -> None:
    """Go on until told that it is gone."""
    for turn in range(300):
        answer = await whatever_people_do(people, dataset, number, turn)
        met[answer.status_code] += 1
        assert answer.status_code in EXPECTED or _already(answer), answer.text
        if answer.status_code == 404 or (number == _BATCH and answer.json()["created"] == 0):
            return
    raise AssertionError(f"deed {number} never went away: {answer.status_code} {answer.text[:300]}")


def _already(answer: httpx.Response) -> bool:
    """Somebody was added a second time."""
    return answer.status_code == 400 and answer.json()["code"] == "already_member"


@pytest.mark.parametrize("what", ["dataset", "project"])
async def test_while_everybody_works(cluster: Cluster, what: str) -> None:
    dataset = await cluster.api.dataset(tasks=["detection"], images=3, classes=CLASSES, members=MEMBERS)
    people = {account: cluster.clients(account) for account in MEMBERS}
    owner = cluster.client("owner", 1)
    await create_annotation(cluster.client("annotator"), box(dataset))
    met = Counter[int]()
    working = [asyncio.create_task(live_until_gone(people, dataset, number, met)) for number in range(11)]
    await until(lambda: met.total() >= 11 * _DEEDS_AT_LEAST or any(task.done() for task in working))
    if what == "dataset":
        (named,) = await rows(cluster.api, "SELECT name FROM datasets WHERE id = $1", dataset.id)
        body = {"dataset_name_confirmation": named["name"]}
        deleted = await owner.request("DELETE", f"/api/v1/datasets/{dataset.id}", json=body)
        assert deleted.status_code == 200, deleted.text
    else:
        deleted = await owner.delete(f"/api/v1/projects/{dataset.project_id}")
        assert deleted.status_code == 204, deleted.text
    await asyncio.gather(*working)
    await rows_are_deleted(cluster)
    assert await left_behind(cluster, dataset, what) == {}


async def rows_are_deleted(cluster: Cluster) -> None:
    """Work on the queue until it is empty."""
    async with workers(cluster.api):
        await done(cluster.api)


async def left_behind(cluster: Cluster, dataset: Dataset, what: str) -> dict[str, int]:
    """Rows that still name what was deleted, by table."""
    columns = await rows(
        cluster.api,
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND column_name = ANY($1::text[]) AND table_name NOT LIKE 'quarantine%'",
        ["project_id", "dataset_id"] if what == "dataset" else ["project_id"],
    )
    found = {}
    for row in columns:
        named = dataset.project_id if row["column_name"] == "project_id" else dataset.id
        sql = f"SELECT count(*)::int AS n FROM {row['table_name']} WHERE {row['column_name']} = $1"
        (counted,) = await rows(cluster.api, sql, named)
        if counted["n"]:
            found[f"{row['table_name']}.{row['column_name']}"] = counted["n"]
    return found


async def test_ten_delete_one_dataset(cluster: Cluster) -> None:
    """One of them does it; for the others it is not there."""
    dataset = await cluster.api.dataset(tasks=["detection"], images=2, classes=CLASSES)
    clients = cluster.clients("owner")
    await create_annotation(clients[0], box(dataset))
    (named,) = await rows(cluster.api, "SELECT name FROM datasets WHERE id = $1", dataset.id)
    body = {"dataset_name_confirmation": named["name"]}
    url = f"/api/v1/datasets/{dataset.id}"
    answers = await asyncio.gather(*(clients[n % 2].request("DELETE", url, json=body) for n in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [404] * 9
    await rows_are_deleted(cluster)
    assert await left_behind(cluster, dataset, "dataset") == {}


async def test_a_project_that_is_deleted_and_opened_again(cluster: Cluster) -> None:
    """Opening the dataset makes a new project; whoever works by the dataset's id gets into one of the two, or 404."""
    dataset = await cluster.api.dataset(tasks=["detection"], images=1)
    clients = cluster.clients("owner")

    async def draw() -> list[int]:
        body = box(dataset, project_id=dataset.id)
        answers = [await clients[n % 2].post("/api/v1/annotations", json=body) for n in range(15)]
        return [answer.status_code for answer in answers]

    async def open_and_delete() -> None:
        for number in range(3):
            opened = await clients[number % 2].get(f"/api/v1/datasets/{dataset.id}/project")
            assert opened.status_code == 200, opened.text
            deleted = await clients[1 - number % 2].delete(f"/api/v1/projects/{opened.json()['id']}")
            assert deleted.status_code in {204, 404}, deleted.text

    *codes, _ = await asyncio.gather(draw(), draw(), open_and_delete())
    assert {code for some in codes if some for code in some} <= {200, 404}
    projects = await rows(cluster.api, "SELECT id FROM annotation_projects WHERE dataset_id = $1", dataset.id)
    assert len(projects) <= 1
    await rows_are_deleted(cluster)
    assert await left_behind(cluster, dataset, "project") == {}
