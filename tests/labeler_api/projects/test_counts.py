"""The counts of a project are kept until its annotations change, by whatever call."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from labeler_api.projects import store
from tests.fixtures.accounts import USER_IDS
from tests.fixtures.annotating import at, box, create_annotation
from tests.fixtures.annotation_files import boxes, coco, take
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.project_rows import stored_class
from tests.fixtures.rows import rows

Change = Callable[[Api, httpx.AsyncClient, Dataset, dict[str, Any]], Awaitable[object]]


@pytest.fixture
async def api(api: Api) -> Api:
    await api.empty_store()
    return api


async def project(api: Api) -> Dataset:
    classes = {"detection": {"c1": stored_class(0), "c2": stored_class(1, "dent")}}
    return await api.dataset(images=3, tasks=["detection"], classes=classes)


async def shown(client: httpx.AsyncClient, dataset: Dataset) -> list[list[tuple[str, str, int, int]]]:
    """What each of the three calls that count says of every class."""
    projects = [
        (await client.get(f"/api/v1/datasets/{dataset.id}/project")).json(),
        (await client.get(f"/api/v1/projects/{dataset.project_id}")).json(),
        *(await client.get("/api/v1/projects")).json(),
    ]
    return [
        sorted(
            (task, class_id, info["bbox_count"], info["image_count"])
            for task, classes in project["task_classes"].items()
            for class_id, info in classes.items()
        )
        for project in projects
    ]


async def counted(api: Api, dataset: Dataset) -> list[tuple[str, str, int, int]]:
    """What the rows add up to, for every class that is stored."""
    found = await rows(
        api,
        "SELECT t.key AS task, c.key AS class_id, count(a.id) AS boxes, count(DISTINCT a.image_id) AS images"
        " FROM annotation_projects p CROSS JOIN jsonb_each(p.task_classes) t CROSS JOIN jsonb_each(t.value) c"
        " LEFT JOIN annotations a ON a.project_id = $1 AND a.task_type = t.key AND a.class_id = c.key"
        " WHERE p.id = $1 GROUP BY 1, 2",
        dataset.project_id,
    )
    return sorted((row["task"], row["class_id"], row["boxes"], row["images"]) for row in found)


async def delete(api: Api, client: httpx.AsyncClient, dataset: Dataset, first: dict[str, Any]) -> None:
    (await client.delete(at(first))).raise_for_status()


async def restore(api: Api, client: httpx.AsyncClient, dataset: Dataset, first: dict[str, Any]) -> None:
    await delete(api, client, dataset, first)
    await shown(client, dataset)
    (await client.post(at(first, "/restore"), json={"revision": 1})).raise_for_status()


async def batch(api: Api, client: httpx.AsyncClient, dataset: Dataset, first: dict[str, Any]) -> None:
    items = [box(dataset, image, class_id="c2", class_name="dent") for image in (0, 1, 1)]
    (await client.post("/api/v1/annotations/batch", json={"annotations": items})).raise_for_status()


async def reclass(api: Api, client: httpx.AsyncClient, dataset: Dataset, first: dict[str, Any]) -> None:
    (await client.put(at(first), json={"class_id": "c2", "class_name": "dent"})).raise_for_status()


async def draw(api: Api, client: httpx.AsyncClient, dataset: Dataset, first: dict[str, Any]) -> None:
    await create_annotation(client, box(dataset, 2))


async def bring_in(api: Api, client: httpx.AsyncClient, dataset: Dataset, first: dict[str, Any]) -> None:
    await take(api, dataset, coco(boxes(1, 1)), force="true")


@pytest.mark.parametrize("change", [draw, delete, restore, batch, reclass, bring_in])
async def test_a_change_of_annotations_shows_at_once(api: Api, change: Change) -> None:
    dataset = await project(api)
    client = await api.login("owner")
    first = await create_annotation(client, box(dataset))
    before = await counted(api, dataset)
    assert await shown(client, dataset) == [before] * 3
    await change(api, client, dataset, first)
    after = await counted(api, dataset)
    assert change is restore or after != before
    assert await shown(client, dataset) == [after] * 3


async def test_what_has_not_changed_is_not_counted_again(api: Api) -> None:
    dataset = await project(api)
    client = await api.login("owner")
    await create_annotation(client, box(dataset))
    first = await shown(client, dataset)
    with api.count() as statements:
        assert await shown(client, dataset) == first
    assert statements.value == 3
    async with api.db.read() as connection:
        revision = await connection.fetchval(
            "SELECT revision FROM annotation_projects WHERE id = $1", dataset.project_id
        )
        own = dataset.project_id
        for known, is_counted in (((own, revision), False), ((own, revision - 1), True), (("proj_x", revision), True)):
            explain = f"EXPLAIN (ANALYZE) {store._GET_COUNTED}"
            plan = await connection.fetch(explain, dataset.project_id, USER_IDS["owner"], *known)
            scans = [line for (line,) in (tuple(row.values()) for row in plan) if " on annotations" in line]
            assert scans
            assert all(("never executed" not in line) == is_counted for line in scans), scans
