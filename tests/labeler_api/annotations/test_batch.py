"""POST of many annotations: what passes is made in one go, and each of the others says why not."""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from tests.fixtures.accounts import ANNOTATOR
from tests.fixtures.annotating import (
    at,
    box,
    check_counters,
    create_annotation,
    history,
    hold,
    locks,
    no_object,
    polygon,
    project_with_members,
)
from tests.fixtures.api import Api
from tests.fixtures.rows import rows

URL = "/api/v1/annotations/batch"


async def send(client: httpx.AsyncClient, items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    response = await client.post(URL, json={"annotations": items})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert answer.keys() == {"created", "failed", "annotation_ids", "errors"}
    assert answer["created"] == len(answer["annotation_ids"])
    assert answer["failed"] == len(answer["errors"])
    return answer


async def test_everything_that_one_create_does(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("annotator")
    single = await create_annotation(client, box(dataset, attributes={"a": 1}, confidence=50, notes="n"))
    items = [box(dataset, attributes={"a": 1}, confidence=50, notes="n"), polygon(dataset, 1), no_object(dataset, 1)]
    answer = await send(client, items)
    assert answer["created"] == 3
    assert answer["errors"] == []
    found = [(await client.get(at({"id": n}))).json() for n in answer["annotation_ids"]]
    assert [item["annotation_type"] for item in found] == ["bbox", "polygon", "no_object"]
    differing = {"id", "created_at", "updated_at"}
    assert {k: v for k, v in found[0].items() if k not in differing} == {
        k: v for k, v in single.items() if k not in differing
    }
    assert found[2]["annotation_state"] == "confirmed"
    assert found[2]["confirmed_by"] == ANNOTATOR.id
    await check_counters(api, dataset)
    assert await locks(api, dataset) == {dataset.image_ids[0]: (4, 60), dataset.image_ids[1]: (4, 60)}
    for item in found:
        (row,) = await history(api, item["id"])
        assert row["action"] == "create"
        assert row["revision"] == 1
        assert row["changed_by"] == ANNOTATOR.id
        assert row["new_state"]["geometry"] == item["geometry"]


async def test_each_refusal_names_its_index(api: Api) -> None:
    dataset, foreign = await project_with_members(api), await api.dataset(owner="stranger", images=1)
    client = await api.login("annotator")
    await hold(api, dataset, "owner", 2)
    items = [
        box(dataset),
        box(dataset, annotation_type="cube"),
        box(dataset, geometry={"bbox": [1, 2, 0, 4]}),
        box(dataset, image_id="nowhere"),
        box(dataset, 2),
        box(foreign),
        no_object(dataset) | {"attributes": {}},
        box(dataset, project_id=dataset.id),
    ]
    answer = await send(client, items)
    assert answer["created"] == 2
    assert answer["failed"] == 6
    assert [error.partition(":")[0] for error in answer["errors"]] == [f"Index {n}" for n in (1, 2, 3, 4, 5, 6)]
    for error, word in zip(
        answer["errors"], ("annotation type", "geometry", "no image", "working on", "not a member", "task"), strict=True
    ):
        assert word in error
    await check_counters(api, dataset)
    assert await locks(api, dataset) == {dataset.image_ids[0]: (4, 60), dataset.image_ids[2]: (2, 300)}


async def test_several_projects(api: Api) -> None:
    first, second, viewed = (
        await project_with_members(api),
        await project_with_members(api),
        await api.dataset(images=1, members={"annotator": "viewer"}),
    )
    client = await api.login("annotator")
    answer = await send(client, [box(first), box(second), box(viewed), box(first, 1)])
    assert answer["created"] == 3
    assert answer["failed"] == 1
    assert "annotator" in answer["errors"][0]
    assert answer["errors"][0].startswith("Index 2: ")
    found = [(await client.get(at({"id": n}))).json()["project_id"] for n in answer["annotation_ids"]]
    assert found == [first.project_id, second.project_id, first.project_id]
    for dataset in (first, second):
        await check_counters(api, dataset)
    revisions = await rows(api, "SELECT id, revision FROM annotation_projects ORDER BY id")
    assert [row["revision"] for row in revisions] == [1, 1, 0]


@pytest.mark.parametrize(("account", "created"), [("owner", 1), ("reviewer", 1), ("viewer", 0), ("stranger", 0)])
async def test_roles(api: Api, account: str, created: int) -> None:
    dataset = await project_with_members(api)
    assert (await send(await api.login(account), [box(dataset)]))["created"] == created
    assert (await api.client().post(URL, json={"annotations": []})).status_code == 401


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({}, ["body", "annotations"]),
        ({"annotations": [{"project_id": "p"}]}, ["body", "annotations", "...", "image_id"]),
        ({"annotations": [{}] * 10_001}, ["body", "annotations"]),
    ],
)
async def test_a_body_of_another_shape(api: Api, body: dict[str, Any], loc: list[str]) -> None:
    response = await (await api.login("owner")).post(URL, json=body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"][:2] == loc[:2]


async def test_too_many_projects(api: Api) -> None:
    dataset = await project_with_members(api)
    items = [box(dataset, project_id=f"p{n}") for n in range(101)]
    response = await (await api.login("owner")).post(URL, json={"annotations": items})
    assert response.status_code == 422
    assert response.json()["code"] == "too_many_projects"


async def test_batches_that_cross_neither_wait_for_ever_nor_lose(api: Api) -> None:
    first, second, client = (
        await project_with_members(api),
        await project_with_members(api),
        await api.login("annotator"),
    )
    there = [box(first), box(second, 1)] * 10
    answers = await asyncio.gather(*(send(client, there if n % 2 else there[::-1]) for n in range(8)))
    assert [answer["created"] for answer in answers] == [20] * 8
    for dataset in (first, second):
        await check_counters(api, dataset)


async def test_ten_thousand_at_once_in_as_many_statements_as_one(api: Api) -> None:
    dataset = await api.dataset(images=100, tasks=["detection"])
    client = await api.login("owner")
    counts = []
    for number in (1, 10, 10_000):
        items = [
            box(dataset, n % 100, notes="a sentence of some length, so that it is a large body") for n in range(number)
        ]
        with api.count() as count:
            assert (await send(client, items))["created"] == number
        counts.append(count.value)
    assert counts == [1, 1, 1]
    await check_counters(api, dataset)


async def test_an_empty_batch(api: Api) -> None:
    assert await send(await api.login("viewer"), []) == {"created": 0, "failed": 0, "annotation_ids": [], "errors": []}
