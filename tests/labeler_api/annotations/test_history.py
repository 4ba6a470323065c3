"""The history of a project and of an annotation."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.fixtures.accounts import ANNOTATOR
from tests.fixtures.annotating import at, box, create_annotation, no_object, polygon, project_with_members
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset

KEYS = {
    *("id", "annotation_id", "project_id", "image_id", "action", "revision", "previous_state", "new_state"),
    *("changed_by", "timestamp", "changed_by_name", "changed_by_email"),
}


def of_project(dataset: Dataset) -> str:
    return f"/api/v1/annotations/history/project/{dataset.project_id}"


def of(annotation: dict[str, Any]) -> str:
    return f"/api/v1/annotations/history/annotation/{annotation['id']}"


async def told(client: httpx.AsyncClient, url: str, **query: Any) -> list[dict[str, Any]]:
    response = await client.get(url, params=query)
    assert response.status_code == 200, response.text
    entries: list[dict[str, Any]] = response.json()
    return entries


async def log(api: Api, dataset: Dataset, number: int, annotation_id: int = 1, users: int = 1) -> None:
    """Insert entries by SQL; several share each moment."""
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO annotation_history (annotation_id, project_id, action, new_state, changed_by, timestamp)"
            " SELECT $2, $1, 'update', '{\"geometry\": {}}', 1 + n % $4::int,"
            " $5::timestamptz + interval '1 second' * (n / 7) FROM generate_series(1, $3::int) n",
            dataset.project_id,
            annotation_id,
            number,
            users,
            datetime(2026, 1, 1, tzinfo=UTC),
        )


async def test_an_entry_holds_the_annotation_before_and_after(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("annotator")
    body = await create_annotation(client, box(dataset, attributes={"a": 1}))
    changed = (await client.put(at(body), json={"notes": "x"})).json()
    await client.delete(at(body))
    entries = await told(await api.login("viewer"), of_project(dataset))
    assert [(entry["action"], entry["revision"]) for entry in entries] == [("delete", 3), ("update", 2), ("create", 1)]
    assert all(entry.keys() == KEYS for entry in entries)
    entry = entries[1]
    assert entry["annotation_id"] == body["id"]
    assert entry["project_id"] == dataset.project_id
    assert entry["image_id"] == dataset.image_ids[0]
    assert entry["changed_by"] == ANNOTATOR.id
    assert entry["changed_by_name"] == "Annotator Example"
    assert entry["changed_by_email"] == "annotator@example.com"
    assert entry["timestamp"] == changed["updated_at"]
    assert entry["previous_state"]["notes"] is None
    assert entry["new_state"]["notes"] == "x"
    assert entry["new_state"]["geometry"] == body["geometry"]
    assert entries[0]["new_state"] is None
    assert entries[2]["previous_state"] is None
    assert await told(client, of(body)) == entries


async def test_every_way_to_write_is_told(api: Api) -> None:
    """Image-level and bulk operations included."""
    dataset, client = await project_with_members(api), await api.login("reviewer")
    first, second = await create_annotation(client, box(dataset)), await create_annotation(client, polygon(dataset))
    image = f"/api/v1/projects/{dataset.project_id}/images/{dataset.image_ids[0]}"
    await client.post(f"{image}/confirm", json={})
    await client.post(f"{image}/unconfirm", json={})
    await client.post("/api/v1/annotations/bulk-confirm", json={"annotation_ids": [first["id"], second["id"]]})
    batch = (await client.post("/api/v1/annotations/batch", json={"annotations": [no_object(dataset, 1)]})).json()
    await client.post(f"/api/v1/annotations/{first['id']}/restore", json={"revision": 1})
    actions = ["restore", "confirm", "unconfirm", "confirm", "create"]
    assert [entry["action"] for entry in await told(client, of(first))] == actions
    assert [entry["revision"] for entry in await told(client, of(first))] == [5, 4, 3, 2, 1]
    assert [entry["action"] for entry in await told(client, of(second))] == actions[1:]
    assert [entry["action"] for entry in await told(client, of({"id": batch["annotation_ids"][0]}))] == ["create"]
    assert len(await told(client, of_project(dataset))) == 10


async def test_pages_of_a_project_meet(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("viewer")
    await log(api, dataset, 230)
    newest = await told(client, of_project(dataset), limit=5000)
    assert len(newest) == 100
    everything, query = list[dict[str, Any]](), {"limit": 33}
    for _ in range(8):
        response = await client.get(of_project(dataset), params=query)
        everything += response.json()
        if not (cursor := response.headers.get("x-next-cursor")):
            break
        query = {"limit": 33, "cursor": cursor}
    assert len({entry["id"] for entry in everything}) == len(everything) == 230
    order = [(entry["timestamp"], entry["id"]) for entry in everything]
    assert order == sorted(order, reverse=True)
    assert everything[:100] == newest
    assert await told(client, of_project(dataset), skip=40, limit=10) == everything[40:50]
    assert await told(client, of_project(dataset), limit=0) == []


async def test_pages_of_an_annotation_meet(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("viewer")
    await log(api, dataset, 25)
    first = await client.get(of({"id": 1}), params={"limit": 20})
    second = await client.get(of({"id": 1}), params={"limit": 20, "cursor": first.headers["x-next-cursor"]})
    found = [entry["id"] for entry in first.json() + second.json()]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 25
    assert "x-next-cursor" not in second.headers


@pytest.mark.parametrize(
    "query",
    [{"skip": -1}, {"limit": -1}, {"limit": "x"}, {"skip": 2**70}, {"cursor": "x"}, {"cursor": "WzEsMl0"}],
)
async def test_a_bad_page(api: Api, query: dict[str, Any]) -> None:
    dataset, client = await project_with_members(api), await api.login("viewer")
    body = await create_annotation(await api.login("owner"), box(dataset))
    for url in (of_project(dataset), of(body)):
        response = await client.get(url, params=query)
        assert response.status_code == 422, (url, response.text)


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        ("admin", 200),
        ("owner", 200),
        ("reviewer", 200),
        ("annotator", 200),
        ("viewer", 200),
        ("stranger", 404),
        (None, 401),
    ],
)
async def test_roles(api: Api, account: str | None, expected: int) -> None:
    dataset = await project_with_members(api)
    there, gone = (
        await create_annotation(await api.login("owner"), box(dataset)),
        await create_annotation(await api.login("owner"), box(dataset)),
    )
    await (await api.login("owner")).delete(at(gone))
    client = await api.login(account) if account else api.client()
    for url in (of_project(dataset), of(there), of(gone)):
        assert (await client.get(url)).status_code == expected


async def test_a_strangers_404_is_that_of_nothing(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("stranger")
    body = await create_annotation(await api.login("owner"), box(dataset))
    there, nowhere = (await client.get(of(body))).json(), (await client.get(of({"id": body["id"] + 1}))).json()
    assert there["code"] == nowhere["code"] == "annotation_not_found"
    assert (await client.get(of_project(dataset))).json()["code"] == "project_not_found"


async def test_an_annotation_without_history(api: Api) -> None:
    """As older imports left them."""
    dataset, client = await project_with_members(api), await api.login("viewer")
    async with api.db.begin() as tx:
        number = await tx.fetchval(
            "INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, created_by)"
            " VALUES ($1, $2, 'bbox', 'detection', '{}', 2) RETURNING id",
            dataset.project_id,
            dataset.image_ids[0],
        )
    assert await told(client, of({"id": number})) == []


async def test_unknown_people_have_no_names(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("viewer")
    await log(api, dataset, 1, users=1)
    async with api.db.begin() as tx:
        await tx.execute("UPDATE annotation_history SET changed_by = 4711")
    (entry,) = await told(client, of_project(dataset))
    assert entry["changed_by"] == 4711
    assert entry["changed_by_name"] is None
    assert entry["changed_by_email"] is None


async def test_statements_and_questions_to_the_gateway(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("viewer")
    await client.get(of_project(dataset))
    for number in (1, 10, 1000):
        await log(api, dataset, number, users=500)
        before = api.services.directory.calls.total()
        with api.count() as count:
            await told(client, of_project(dataset), limit=100)
        assert count.value == 1
        with api.count() as count:
            await told(client, of({"id": 1}), limit=1000)
        assert count.value == 1
        assert api.services.directory.calls.total() - before <= 2


async def test_a_cursor_is_as_quick_at_any_depth(api: Api) -> None:
    """The plan reads the page from the index, and nothing before it."""
    dataset = await project_with_members(api)
    await log(api, dataset, 5000)
    async with api.db.begin() as tx:
        await tx.execute("ANALYZE annotation_history")
        plan = await tx.fetch(
            "EXPLAIN SELECT id FROM annotation_history WHERE project_id = $1 AND (timestamp, id) < ($2, $3::bigint)"
            " ORDER BY timestamp DESC, id DESC LIMIT 100",
            dataset.project_id,
            datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=100),
            2500,
        )
    text = "\n".join(row["QUERY PLAN"] for row in plan)
    assert "ROW(" in text.partition("Index Cond:")[2].partition("Filter")[0], text
    assert "Sort" not in text, text


async def test_writes_side_by_side_are_told_once_each(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("annotator")
    body = await create_annotation(client, box(dataset))
    answers = await asyncio.gather(*(client.put(at(body), json={"notes": str(n)}) for n in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    entries = await told(client, of(body))
    assert [entry["revision"] for entry in entries] == list(range(11, 0, -1))
    assert sorted(entry["new_state"]["notes"] for entry in entries[:10]) == [str(n) for n in range(10)]
