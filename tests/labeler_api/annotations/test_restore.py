"""Bringing a revision back: as a new version, of a deleted annotation too, and never half of one."""

import asyncio
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
    leave,
    locks,
    no_object,
    project_with_members,
)
from tests.fixtures.api import Api
from tests.fixtures.rows import rows

SINCE = {"version", "updated_by", "updated_by_name", "updated_at"}  # what a new version has of its own


def content(annotation: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in annotation.items() if key not in SINCE}


async def restored(client: httpx.AsyncClient, annotation: dict[str, Any], revision: int) -> dict[str, Any]:
    response = await client.post(at(annotation, "/restore"), json={"revision": revision})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


async def changed(client: httpx.AsyncClient, annotation: dict[str, Any], **change: Any) -> dict[str, Any]:
    response = await client.put(at(annotation), json=change)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


async def test_each_revision_comes_back_whole(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("annotator")
    first = await create_annotation(client, box(dataset, attributes={"a": [1, 2]}, confidence=30, notes="n"))
    second = await changed(client, first, geometry={"type": "bbox", "bbox": [1, 2, 3, 4]}, class_id=None, attributes={})
    await client.post(at(first, "/confirm"), json={})
    third = (await client.get(at(first))).json()
    await changed(client, first, class_name="other", is_verified=True, confidence=None)
    for revision, state in ((1, first), (2, second), (3, third)):
        back = await restored(client, first, revision)
        assert content(back) == content(state)
        assert back["version"] == 4 + revision
        assert (await client.get(at(first))).json() == back
        entry = (await history(api, first["id"]))[-1]
        assert entry["action"] == "restore"
        assert entry["revision"] == back["version"]
        assert entry["changed_by"] == ANNOTATOR.id
        assert entry["new_state"]["version"] == 4 + revision
        assert entry["previous_state"]["version"] == 3 + revision
        assert "added" not in entry["new_state"]
    await check_counters(api, dataset)


async def test_a_deleted_annotation_comes_back_under_its_id(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("annotator")
    body = await create_annotation(client, box(dataset))
    later = await changed(client, body, notes="x")
    await client.delete(at(body))
    back = await restored(client, body, 2)
    assert content(back) == content(later)
    assert back["id"] == body["id"]
    assert back["version"] == 4
    assert back["created_at"] == body["created_at"]
    assert [(row["action"], row["revision"]) for row in await history(api, body["id"])] == [
        ("create", 1),
        ("update", 2),
        ("delete", 3),
        ("restore", 4),
    ]
    await check_counters(api, dataset)
    await client.delete(at(body))
    assert (await restored(client, body, 4))["version"] == 6
    assert (await create_annotation(client, box(dataset)))["id"] > body["id"]


async def test_the_images_confirmation_is_taken_back(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("reviewer")
    body = await create_annotation(client, box(dataset))
    await client.post(at(body, "/confirm"), json={})
    assert await rows(api, "SELECT status FROM image_annotation_status") == [{"status": "completed"}]
    await restored(client, body, 1)
    assert await rows(api, "SELECT status FROM image_annotation_status") == [{"status": "in-progress"}]
    assert (await client.get(at(body))).json()["annotation_state"] == "draft"
    await check_counters(api, dataset)


async def test_a_no_object_comes_back(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("annotator")
    body = await create_annotation(client, no_object(dataset))
    await client.delete(at(body))
    assert content(await restored(client, body, 1)) == content(body)
    await check_counters(api, dataset)


async def test_the_revision_before_a_write_is_in_its_entry(api: Api) -> None:
    """An annotation that was made before whole revisions were kept can be brought back to where they begin."""
    dataset, client = await project_with_members(api), await api.login("annotator")
    body = await create_annotation(client, box(dataset))
    async with api.db.begin() as tx:
        await tx.execute("UPDATE annotations SET version = 7")
        await tx.execute(
            "UPDATE annotation_history SET revision = NULL, new_state = jsonb_build_object("
            "'annotation_type', 'bbox', 'geometry', new_state -> 'geometry')"
        )
    await changed(client, body, notes="x")
    back = await restored(client, body, 7)
    assert back["version"] == 9
    assert back["notes"] is None
    for revision in (1, 6):
        response = await client.post(at(body, "/restore"), json={"revision": revision})
        assert response.status_code == 409
        assert response.json()["code"] == "revision_incomplete"
    assert len(await history(api, body["id"])) == 3


async def test_a_part_of_a_state_is_not_restored(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("annotator")
    body = await create_annotation(client, box(dataset))
    async with api.db.begin() as tx:
        await tx.execute("UPDATE annotation_history SET new_state = new_state - 'confidence'")
    response = await client.post(at(body, "/restore"), json={"revision": 1})
    assert response.status_code == 409
    assert response.json()["code"] == "revision_incomplete"
    assert (await client.get(at(body))).json() == body


async def test_what_is_no_revision(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("annotator")
    body = await create_annotation(client, box(dataset))
    await client.delete(at(body))
    for revision, status, code in (
        (3, 404, "revision_not_found"),
        (2, 409, "revision_is_deletion"),
        (0, 422, "invalid"),
        (2**31, 422, "invalid"),
        ("1", 422, "invalid"),
    ):
        response = await client.post(at(body, "/restore"), json={"revision": revision})
        assert response.status_code == status
        assert response.json()["code"] == code
        assert isinstance(response.json()["detail"], str)
    response = await client.post(at({"id": body["id"] + 1}, "/restore"), json={"revision": 1})
    assert response.status_code == 404
    assert response.json()["code"] == "annotation_not_found"


async def test_the_version_seen(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("annotator")
    body = await create_annotation(client, box(dataset))
    await changed(client, body, notes="x")
    for headers, seen in (({"If-Match": '"1"'}, {}), ({}, {"version": 1})):
        response = await client.post(at(body, "/restore"), json={"revision": 1} | seen, headers=headers)
        assert response.status_code == 409
        assert response.json()["code"] == "version_conflict"
        conflict = response.json()["conflict"]
        assert conflict["current_version"] == 2
        assert conflict["your_version"] == 1
        assert conflict["last_updated_by"] == ANNOTATOR.id
    assert (await client.post(at(body, "/restore"), json={"revision": 1}, headers={"If-Match": '"2"'})).json()[
        "version"
    ] == 3
    await client.delete(at(body))
    response = await client.post(at(body, "/restore"), json={"revision": 1, "version": 3})
    assert response.status_code == 409
    assert response.json()["conflict"]["current_version"] == 4
    assert (await client.post(at(body, "/restore"), json={"revision": 1, "version": 4})).json()["version"] == 5
    response = await client.post(at(body, "/restore"), json={"revision": 1}, headers={"If-Match": "9" * 5000})
    assert response.status_code == 422


async def test_locks(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("annotator")
    body = await create_annotation(client, box(dataset))
    await client.delete(at(body))
    await leave(api, dataset, "annotator")
    await hold(api, dataset, "reviewer")
    response = await client.post(at(body, "/restore"), json={"revision": 1})
    assert response.status_code == 423
    assert response.json()["lock"]["user_name"] == "Reviewer Example"
    assert await rows(api, "SELECT id FROM annotations") == []
    await leave(api, dataset, "reviewer")
    await restored(client, body, 1)
    assert await locks(api, dataset) == {dataset.image_ids[0]: (4, 60)}


async def test_an_image_that_is_gone(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("annotator")
    body = await create_annotation(client, box(dataset))
    await client.delete(at(body))
    async with api.db.begin() as tx:
        await tx.execute("DELETE FROM image_metadata WHERE id = $1", dataset.image_ids[0])
    response = await client.post(at(body, "/restore"), json={"revision": 1})
    assert response.status_code == 404
    assert response.json()["code"] == "image_not_found"


OTHERS = {"admin": 200, "owner": 200, "reviewer": 200, "annotator": 403, "viewer": 403, "stranger": 404, None: 401}


@pytest.mark.parametrize("deleted", [False, True])
async def test_roles(api: Api, deleted: bool) -> None:
    dataset = await project_with_members(api)
    owner = await api.login("owner")
    for account, expected in OTHERS.items():
        body = await create_annotation(owner, box(dataset))
        if deleted:
            await owner.delete(at(body))
        await leave(api, dataset, "owner")
        client = await api.login(account) if account else api.client()
        response = await client.post(at(body, "/restore"), json={"revision": 1})
        assert response.status_code == expected, (account, response.text)
        await leave(api, dataset, account or "owner") if expected == 200 else None


@pytest.mark.parametrize(("role", "expected"), [("viewer", 403), (None, 404)])
async def test_own_ones_after_the_role_is_gone(api: Api, role: str | None, expected: int) -> None:
    dataset, client = await project_with_members(api), await api.login("annotator")
    body = await create_annotation(client, box(dataset))
    await client.delete(at(body))
    async with api.db.begin() as tx:
        await tx.execute(f"DELETE FROM project_permissions WHERE user_id = {ANNOTATOR.id}")
        if role:
            await tx.execute(
                "INSERT INTO project_permissions (project_id, user_id, role, granted_by) VALUES ($1, 4, $2, 2)",
                dataset.project_id,
                role,
            )
    assert (await client.post(at(body, "/restore"), json={"revision": 1})).status_code == expected


async def test_restored_and_deleted_side_by_side(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("annotator")
    body = await create_annotation(client, box(dataset))
    await client.delete(at(body))
    answers = await asyncio.gather(
        *(client.post(at(body, "/restore"), json={"revision": 1}) for _ in range(6)),
        *(client.delete(at(body)) for _ in range(4)),
    )
    assert {answer.status_code for answer in answers} <= {200, 404}
    assert [answer.status_code for answer in answers[:6]] == [200] * 6
    found = await history(api, body["id"])
    assert [row["revision"] for row in found] == list(range(1, len(found) + 1))
    await check_counters(api, dataset)


async def test_statements(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("annotator")
    body = await create_annotation(client, box(dataset))
    with api.count() as count:
        await restored(client, body, 1)
    assert count.value <= 7
