"""Idempotency-Key: a creating request that is sent again makes nothing twice, and answers what it answered."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import randrange
from typing import Any

import httpx
import pytest

from labeler_api.app import API_ROUTES
from labeler_api.http.endpoint import operation_of
from tests.fixtures.accounts import ANNOTATOR, STRANGER
from tests.fixtures.annotating import at, box, create_annotation, hold, leave, project_with_members
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.rows import rows

KEY = {"Idempotency-Key": "5d0f4d5e-3c6e-4d39-a8f5-0a4b0a3f0c51"}


@dataclass(frozen=True)
class Creating:
    """A creating call by the owner of a project: how it is made, and the statement that counts what it made."""

    path: str
    body: Callable[[Dataset], dict[str, Any]]
    count: str
    other: dict[str, Any]


CREATING = {
    "POST /annotations": Creating(
        "/annotations", box, "SELECT count(*) AS n FROM annotation_history", {"class_id": "c2"}
    ),
    "POST /annotations/batch": Creating(
        "/annotations/batch",
        lambda dataset: {"annotations": [box(dataset), box(dataset, image_id="nowhere")]},
        "SELECT count(*) AS n FROM annotation_history",
        {"annotations": []},
    ),
    "POST /datasets": Creating(
        "/datasets",
        lambda _: {"name": "New", "task_types": ["detection"]},
        "SELECT count(*) AS n FROM datasets",
        {"name": "Other"},
    ),
    "POST /projects/{project_id}/permissions": Creating(
        "/projects/{project_id}/permissions",
        lambda _: {"user_email": "stranger@example.com", "role": "viewer"},
        "SELECT count(*) AS n FROM project_permissions",
        {"role": "annotator"},
    ),
    "POST /projects/{project_id}/classes": Creating(
        "/projects/{project_id}/classes?task_type=detection",
        lambda _: {"name": "scratch", "color": "#ff0000"},
        "SELECT count(*) AS n FROM annotation_projects, jsonb_each(task_classes -> 'detection')",
        {"name": "dent"},
    ),
    "POST /projects": Creating(
        "/projects",
        lambda _: {"name": "New", "dataset_id": "ds_alone", "task_types": ["line"], "task_config": {}, "classes": {}},
        "SELECT count(*) AS n FROM annotation_projects",
        {"name": "Other"},
    ),
    "POST /datasets/{dataset_id}/permissions/invite": Creating(
        "/datasets/{project_id}/permissions/invite",
        lambda _: {"user_email": "stranger@example.com", "role": "member"},
        "SELECT count(*) AS n FROM project_permissions",
        {"user_email": "admin@example.com"},
    ),
    "POST /projects/{project_id}/task-types": Creating(
        "/projects/{project_id}/task-types",
        lambda _: {"task_type": "geometry"},
        "SELECT sum(cardinality(task_types)) AS n FROM annotation_projects",
        {"task_type": "keypoint"},
    ),
    "POST /projects/{project_id}/versions/publish": Creating(
        "/projects/{project_id}/versions/publish",
        lambda _: {"task_type": "detection", "export_format": "coco", "include_draft": True},
        "SELECT count(*) AS n FROM annotation_versions",
        {"description": "another"},
    ),
    "POST /projects/{project_id}/export": Creating(
        "/projects/{project_id}/export",
        lambda _: {"export_format": "yolo", "include_draft": True},
        "SELECT count(*) AS n FROM idempotency_keys",
        {"export_format": "coco"},
    ),
    "POST /export": Creating(
        "/export",
        lambda dataset: {
            "project_id": dataset.id,
            "task_type": "detection",
            "export_format": "dice",
            "include_draft": True,
        },
        "SELECT count(*) AS n FROM idempotency_keys",
        {"export_format": "coco"},
    ),
    "POST /invitations": Creating(
        "/invitations",
        lambda dataset: {"project_id": dataset.id, "invitee_user_id": STRANGER.id, "role": "viewer"},
        "SELECT count(*) AS n FROM invitations",
        {"role": "annotator"},
    ),
    "POST /datasets/{dataset_id}/images/delete": Creating(
        "/datasets/{project_id}/images/delete",
        lambda dataset: {"image_ids": [dataset.image_ids[0]]},
        "SELECT count(*) AS n FROM deleted_images",
        {"image_ids": ["nowhere"]},
    ),
}
# With their files in tests/labeler_api/imports, with what was deleted in tests/labeler_api/deletion/test_images.py.
ELSEWHERE = {
    "POST /annotations/import/project/{project_id}",
    "POST /datasets/upload",
    "POST /datasets/{dataset_id}/images/restore",
}
# A dataset of the owner without a project, for the call that makes one.
ALONE = "INSERT INTO datasets (id, name, owner_id, storage_path) VALUES ('ds_alone', 'Alone', 2, '')"


async def prepared(api: Api) -> Dataset:
    """What the calls need to be there."""
    async with api.db.begin() as tx:
        await tx.execute(ALONE)
    api._count += randrange(10**6, 10**9)  # the object store is shared with other tests, and so are a project's keys
    dataset = await project_with_members(api)
    await create_annotation(await api.login("owner"), box(dataset))
    return dataset


async def send(client: httpx.AsyncClient, call: Creating, dataset: Dataset, **changed: Any) -> httpx.Response:
    path = f"/api/v1{call.path}".replace("{project_id}", dataset.project_id)
    return await client.post(path, json=call.body(dataset) | changed, headers=KEY)


async def counted(api: Api, sql: str) -> int:
    (row,) = await rows(api, sql)
    number: int = row["n"]
    return number


def test_every_operation_that_takes_a_key_is_tested() -> None:
    operations = filter(None, map(operation_of, API_ROUTES))
    taking = {f"{operation.method} {operation.path}" for operation in operations if operation.idempotent}
    assert taking == CREATING.keys() | ELSEWHERE


@pytest.mark.parametrize("name", CREATING)
async def test_sent_side_by_side_and_again(api: Api, name: str) -> None:
    call, dataset, client = CREATING[name], await prepared(api), await api.login("owner")
    before = await counted(api, call.count)
    answers = await asyncio.gather(*(send(client, call, dataset) for _ in range(4)))
    answers.append(await send(client, call, dataset))
    assert {answer.status_code for answer in answers} in ({200}, {201}), [answer.text for answer in answers]
    assert len({answer.text for answer in answers}) == 1
    assert await counted(api, call.count) == before + 1
    refused = await send(client, call, dataset, **call.other)
    assert refused.status_code == 422
    assert refused.json()["code"] == "idempotency_key_reused"
    assert await counted(api, call.count) == before + 1


async def test_fifty_equal_requests_make_one_annotation(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("annotator")
    answers = await asyncio.gather(
        *(client.post("/api/v1/annotations", json=box(dataset), headers=KEY) for _ in range(50))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert await counted(api, "SELECT count(*) AS n FROM annotations") == 1
    assert await counted(api, "SELECT count(*) AS n FROM annotation_history") == 1
    assert await counted(api, "SELECT total_annotations AS n FROM annotation_projects") == 1


async def test_the_answer_is_that_of_then(api: Api) -> None:
    """Though the annotation was changed and deleted since."""
    dataset, client = await project_with_members(api), await api.login("annotator")
    first = await client.post("/api/v1/annotations", json=box(dataset), headers=KEY)
    await client.put(at(first.json()), json={"notes": "later"})
    await client.delete(at(first.json()))
    again = await client.post("/api/v1/annotations", json=box(dataset), headers=KEY)
    assert again.json() == first.json()
    assert await counted(api, "SELECT count(*) AS n FROM annotations") == 0


async def test_a_key_is_its_users(api: Api) -> None:
    dataset = await project_with_members(api)
    mine = await (await api.login("annotator")).post("/api/v1/annotations", json=box(dataset), headers=KEY)
    await leave(api, dataset, "annotator")
    theirs = await (await api.login("reviewer")).post("/api/v1/annotations", json=box(dataset), headers=KEY)
    assert theirs.status_code == 200
    assert theirs.json()["id"] != mine.json()["id"]


async def test_a_key_is_for_one_operation(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("owner")
    await client.post("/api/v1/annotations", json=box(dataset), headers=KEY)
    response = await client.post("/api/v1/datasets", json={"name": "x"}, headers=KEY)
    assert response.status_code == 422
    assert response.json()["code"] == "idempotency_key_reused"


async def test_an_error_is_not_remembered(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("annotator")
    await hold(api, dataset, "owner")
    refused = await client.post("/api/v1/annotations", json=box(dataset), headers=KEY)
    assert refused.status_code == 423
    await leave(api, dataset, "owner")
    assert (await client.post("/api/v1/annotations", json=box(dataset), headers=KEY)).status_code == 200


async def test_an_old_answer_is_not_for_who_lost_the_role(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("annotator")
    await client.post("/api/v1/annotations", json=box(dataset), headers=KEY)
    async with api.db.begin() as tx:
        await tx.execute(f"DELETE FROM project_permissions WHERE user_id = {ANNOTATOR.id}")
    assert (await client.post("/api/v1/annotations", json=box(dataset), headers=KEY)).status_code == 404


async def test_a_day_later_it_is_a_new_key(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("annotator")
    first = await client.post("/api/v1/annotations", json=box(dataset), headers=KEY)
    async with api.db.begin() as tx:
        await tx.execute("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
        await tx.execute(
            "INSERT INTO idempotency_keys (user_id, key, operation, request_sha256, created_at)"
            " SELECT 9, n::text, 'x', 'x', now() - interval '2 days' FROM generate_series(1, 15) n"
        )
    second = await client.post("/api/v1/annotations", json=box(dataset), headers=KEY)
    assert second.status_code == 200
    assert second.json()["id"] != first.json()["id"]
    assert await counted(api, "SELECT count(*) AS n FROM idempotency_keys") == 6  # each claim removes ten old ones
    again = await client.post("/api/v1/annotations", json=box(dataset), headers=KEY)
    assert again.json() == second.json()


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "\t"])
async def test_a_bad_key(api: Api, key: str) -> None:
    dataset, client = await project_with_members(api), await api.login("annotator")
    response = await client.post("/api/v1/annotations", json=box(dataset), headers={"Idempotency-Key": key})
    assert response.status_code == 422
    assert response.json()["code"] == "invalid"
    assert response.json()["errors"][0]["loc"] == ["header", "idempotency-key"]


async def test_statements(api: Api) -> None:
    dataset, client = await project_with_members(api), await api.login("annotator")
    for headers, budget in ({}, 5), (KEY, 7), (KEY, 3):
        with api.count() as count:
            await client.post("/api/v1/annotations", json=box(dataset), headers=headers)
        assert count.value <= budget, (headers, count.value)
