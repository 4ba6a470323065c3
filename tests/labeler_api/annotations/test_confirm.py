"""Confirming and unconfirming: one annotation, and an image."""

import pytest

from tests.fixtures.accounts import REVIEWER
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


async def test_confirm_and_unconfirm(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("reviewer")
    body = await create_annotation(await api.login("annotator"), box(dataset))
    answer = (await client.post(at(body, "/confirm"), json={})).json()
    now = (await client.get(at(body))).json()
    assert answer == {
        "annotation_id": body["id"],
        "annotation_state": "confirmed",
        "confirmed_at": now["confirmed_at"],
        "confirmed_by": REVIEWER.id,
        "confirmed_by_name": "Reviewer Example",
    }
    assert now["version"] == 2
    assert now["updated_by"] is None
    assert now["confirmed_by_name"] == "Reviewer Example"
    assert now["updated_at"] == now["confirmed_at"]
    again = (await client.post(at(body, "/confirm"), json={})).json()
    assert again["confirmed_at"] > answer["confirmed_at"]
    answer = (await client.post(at(body, "/unconfirm"), json={})).json()
    assert answer == {
        "annotation_id": body["id"],
        "annotation_state": "draft",
        "confirmed_at": None,
        "confirmed_by": None,
        "confirmed_by_name": None,
    }
    found = await history(api, body["id"])
    assert [(row["action"], row["revision"], row["changed_by"]) for row in found] == [
        ("create", 1, 4),
        ("confirm", 2, 3),
        ("confirm", 3, 3),
        ("unconfirm", 4, 3),
    ]
    assert [row["new_state"]["annotation_state"] for row in found] == ["draft", "confirmed", "confirmed", "draft"]
    assert [row["previous_state"]["annotation_state"] for row in found[1:]] == ["draft", "confirmed", "confirmed"]


@pytest.mark.parametrize("action", ["/confirm", "/unconfirm"])
async def test_an_annotation_that_is_not_there(api: Api, action: str) -> None:
    response = await (await api.login("reviewer")).post(f"/api/v1/annotations/77{action}", json={})
    assert response.status_code == 404
    assert response.json()["code"] == "annotation_not_found"


async def test_confirming_does_not_ask_for_the_lock(api: Api) -> None:
    dataset = await project_with_members(api)
    body = await create_annotation(await api.login("annotator"), box(dataset))
    await hold(api, dataset, "annotator")
    before = await locks(api, dataset)
    client = await api.login("reviewer")
    assert (await client.post(at(body, "/confirm"), json={})).status_code == 200
    assert (await client.post(at(body, "/unconfirm"), json={})).status_code == 200
    target = f"/api/v1/projects/{dataset.project_id}/images/{dataset.image_ids[0]}/confirm"
    assert (await client.post(target, json={})).status_code == 200
    assert await locks(api, dataset) == before


async def test_confirm_an_image_in_one_task(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("reviewer")
    first, second = await create_annotation(client, box(dataset)), await create_annotation(client, box(dataset))
    outline = await create_annotation(client, polygon(dataset))
    await client.post(at(first, "/confirm"), json={})
    target = f"/api/v1/projects/{dataset.project_id}/images/{dataset.image_ids[0]}/confirm"
    answer = (await client.post(target, params={"task_type": "detection"}, json={})).json()
    moment = answer.pop("confirmed_at")
    assert answer == {
        "image_id": dataset.image_ids[0],
        "is_confirmed": True,
        "status": "completed",
        "total_annotations": 2,
        "confirmed_annotations": 2,
    }
    assert moment.endswith("Z")
    states = {body["id"]: (await client.get(at(body))).json() for body in (first, second, outline)}
    assert [(state["annotation_state"], state["version"], state["confirmed_by"]) for state in states.values()] == [
        ("confirmed", 2, 3),
        ("confirmed", 2, 3),
        ("draft", 1, None),
    ]
    assert [row["action"] for row in await history(api, second["id"])] == ["create", "confirm"]
    assert [row["action"] for row in await history(api, outline["id"])] == ["create"]
    await check_counters(api, dataset)


async def test_confirm_an_image_in_every_task(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("reviewer")
    await create_annotation(client, box(dataset))
    await create_annotation(client, polygon(dataset))
    await create_annotation(client, no_object(dataset, task="classification"))
    await create_annotation(client, box(dataset, 1))
    target = f"/api/v1/projects/{dataset.id}/images/{dataset.image_ids[0]}/confirm"
    answer = (await client.post(target, json={})).json()
    assert answer["is_confirmed"] is True
    assert answer["status"] == "completed"
    assert answer["total_annotations"] == 3
    assert answer["confirmed_annotations"] == 3
    await check_counters(api, dataset)


@pytest.mark.parametrize("task", [{}, {"task_type": "segmentation"}])
async def test_nothing_to_confirm(api: Api, task: dict[str, str]) -> None:
    dataset = await project_with_members(api)
    client = await api.login("reviewer")
    await create_annotation(client, box(dataset, 1 if not task else 0))
    target = f"/api/v1/projects/{dataset.project_id}/images/{dataset.image_ids[0]}/confirm"
    response = await client.post(target, params=task, json={})
    assert response.status_code == 400
    assert response.json()["code"] == "nothing_to_confirm"


@pytest.mark.parametrize("image_id", ["train/good/001", "a b", "50% ok?#", "결함/001", "x/confirm"])
async def test_both_encodings_of_the_id(api: Api, image_id: str) -> None:
    dataset = await project_with_members(api)
    async with api.db.begin() as tx:
        await tx.execute("UPDATE image_metadata SET id = $1 WHERE id = $2", image_id, dataset.image_ids[0])
    dataset.image_ids[0] = image_id
    client = await api.login("reviewer")
    await create_annotation(client, box(dataset))
    for segment in (_quoted(image_id, keep="/"), _quoted(image_id, keep="")):
        target = f"/api/v1/projects/{dataset.project_id}/images/{segment}/confirm"
        assert (await client.post(target, json={})).json()["image_id"] == image_id


def _quoted(text: str, keep: str) -> str:
    from urllib.parse import quote

    return quote(text, safe=keep)
