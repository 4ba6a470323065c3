"""Confirming many annotations, and taking the confirmation of an image back."""

from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from tests.fixtures.accounts import REVIEWER
from tests.fixtures.annotating import (
    at,
    box,
    check_counters,
    create_annotation,
    history,
    hold,
    leave,
    locks,
    no_object,
    polygon,
    project_with_members,
)
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.rows import rows

URL = "/api/v1/annotations/bulk-confirm"


async def confirm(client: httpx.AsyncClient, ids: Sequence[int]) -> dict[str, Any]:
    response = await client.post(URL, json={"annotation_ids": ids})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert answer.keys() == {"confirmed", "failed", "results", "errors"}
    assert answer["confirmed"] == len(answer["results"])
    assert answer["failed"] == len(answer["errors"])
    return answer


def unconfirm(dataset: Dataset, image: int = 0) -> str:
    return f"/api/v1/projects/{dataset.project_id}/images/{dataset.image_ids[image]}/unconfirm"


async def test_all_of_several_images_and_projects(api: Api) -> None:
    dataset, other, client = (
        await project_with_members(api),
        await project_with_members(api),
        await api.login("reviewer"),
    )
    bodies = [
        await create_annotation(client, draw) for draw in (box(dataset), polygon(dataset), box(dataset, 1), box(other))
    ]
    await hold(api, dataset, "reviewer")
    ids = [body["id"] for body in bodies]
    answer = await confirm(client, [*ids, ids[0]])
    assert answer["confirmed"] == 4
    assert answer["errors"] == []
    assert [result["annotation_id"] for result in answer["results"]] == ids
    state = (await client.get(at(bodies[0]))).json()
    assert answer["results"][0] == {
        "annotation_id": ids[0],
        "annotation_state": "confirmed",
        "confirmed_at": state["confirmed_at"],
        "confirmed_by": REVIEWER.id,
        "confirmed_by_name": "Reviewer Example",
    }
    assert state["version"] == 2
    assert state["updated_by"] is None
    assert [row["action"] for row in await history(api, ids[1])] == ["create", "confirm"]
    assert {row["status"] for row in await rows(api, "SELECT status FROM image_annotation_status")} == {"completed"}
    for project in (dataset, other):
        await check_counters(api, project)


async def test_an_image_with_a_draft_left_is_not_confirmed(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("reviewer")
    first, _ = await create_annotation(client, box(dataset)), await create_annotation(client, box(dataset))
    await confirm(client, [first["id"]])
    assert await rows(api, "SELECT status FROM image_annotation_status") == [{"status": "in-progress"}]


async def test_own_others_hidden_and_unknown(api: Api) -> None:
    dataset, foreign = await project_with_members(api), await api.dataset(owner="stranger", images=1)
    client = await api.login("annotator")
    own = await create_annotation(client, box(dataset))
    others = await create_annotation(await api.login("owner"), box(dataset, 1))
    hidden = await create_annotation(await api.login("stranger"), box(foreign))
    answer = await confirm(client, [hidden["id"], own["id"], others["id"], 4711])
    assert [result["annotation_id"] for result in answer["results"]] == [own["id"]]
    assert answer["errors"] == [
        f"Annotation {hidden['id']}: There is no annotation {hidden['id']}.",
        f"Annotation {others['id']}: Changing annotations of others needs the role reviewer on the project; "
        "yours is annotator.",
        "Annotation 4711: There is no annotation 4711.",
    ]
    assert (await (await api.login("viewer")).get(at(others))).json()["annotation_state"] == "draft"
    assert (await confirm(await api.login("viewer"), [own["id"]]))["failed"] == 1


async def test_nobodys_lock_is_asked_for_or_taken(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("reviewer")
    body = await create_annotation(await api.login("annotator"), box(dataset))
    await hold(api, dataset, "annotator")
    before = await locks(api, dataset)
    await confirm(client, [body["id"]])
    assert (await client.post(unconfirm(dataset), json={})).status_code == 200
    assert await locks(api, dataset) == before


@pytest.mark.parametrize("ids", [[0], [2**63], ["1"], [1.5], None, list(range(1, 10_002))])
async def test_a_body_of_another_shape(api: Api, ids: object) -> None:
    response = await (await api.login("owner")).post(URL, json={"annotation_ids": ids})
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"][:2] == ["body", "annotation_ids"]
    assert (await api.client().post(URL, json={"annotation_ids": []})).status_code == 401


async def test_statements_do_not_grow(api: Api) -> None:
    dataset, client = await api.dataset(images=10, tasks=["detection"]), await api.login("owner")
    counts = []
    for number in (1, 10, 1000):
        items = [box(dataset, n % 10) for n in range(number)]
        batch = (await client.post("/api/v1/annotations/batch", json={"annotations": items})).json()
        with api.count() as count:
            assert (await confirm(client, batch["annotation_ids"]))["confirmed"] == number
        counts.append(count.value)
    assert counts == [2, 2, 2]
    with api.count() as count:
        assert (await client.post(unconfirm(dataset), json={})).json()["total_annotations"] == 102
    assert count.value == 1
    await check_counters(api, dataset)


async def test_unconfirm_an_image(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("reviewer")
    first, outline, none = [
        await create_annotation(client, draw) for draw in (box(dataset), polygon(dataset), no_object(dataset, task="x"))
    ]
    draft = await create_annotation(client, box(dataset, 1))
    await confirm(client, [first["id"], outline["id"]])
    one = (await client.post(unconfirm(dataset), params={"task_type": "detection"}, json={})).json()
    assert one == {
        "image_id": dataset.image_ids[0],
        "is_confirmed": False,
        "confirmed_at": None,
        "status": "in-progress",
        "total_annotations": 1,
        "confirmed_annotations": 0,
    }
    assert (await client.get(at(outline))).json()["annotation_state"] == "confirmed"
    everything = (await client.post(unconfirm(dataset), json={})).json()
    assert everything["total_annotations"] == 3
    assert everything["confirmed_annotations"] == 0
    for body in (first, outline, none):
        state = (await client.get(at(body))).json()
        assert state["annotation_state"] == "draft"
        assert state["confirmed_at"] is None
        assert state["confirmed_by"] is None
        assert [row["action"] for row in await history(api, body["id"])][-1] == "unconfirm"
    assert (await client.get(at(draft))).json()["version"] == 1
    assert {row["status"] for row in await rows(api, "SELECT status FROM image_annotation_status")} == {"in-progress"}
    await check_counters(api, dataset)


async def test_an_image_that_nobody_began_or_that_is_not_there(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("reviewer")
    answer = (await client.post(unconfirm(dataset, 2), json={})).json()
    assert answer["status"] == "not-started"
    assert answer["is_confirmed"] is False
    assert answer["total_annotations"] == 0
    assert await rows(api, "SELECT revision FROM annotation_projects") == [{"revision": 0}]
    target = f"/api/v1/projects/{dataset.project_id}/images/nowhere/unconfirm"
    response = await client.post(target, json={})
    assert response.status_code == 404
    assert response.json()["code"] == "image_not_found"


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        ("admin", 200),
        ("owner", 200),
        ("reviewer", 200),
        ("annotator", 403),
        ("viewer", 403),
        ("stranger", 404),
        (None, 401),
    ],
)
async def test_who_unconfirms_images(api: Api, account: str | None, expected: int) -> None:
    dataset = await project_with_members(api)
    await create_annotation(await api.login("annotator"), box(dataset))
    await leave(api, dataset, "annotator")
    client = await api.login(account) if account else api.client()
    assert (await client.post(unconfirm(dataset), json={})).status_code == expected
