"""POST /datasets."""

import asyncio
import re

import msgspec
import pytest

from tests.fixtures.accounts import OWNER
from tests.fixtures.api import Api

KEYS = {
    "id", "name", "description", "owner_id", "format", "source", "visibility", "labeled", "num_items", "size_mb",
    "storage_path", "tags", "created_at", "updated_at", "owner_name", "owner_email", "owner_badge_color",
}  # fmt: skip


async def test_a_dataset_is_made_with_its_project_and_its_owner(api: Api) -> None:
    owner = await api.login("owner")
    answer = await owner.post(
        "/api/v1/datasets",
        json={
            "name": "Zippers",
            "description": "Teeth",
            "task_types": ["detection", "segmentation"],
            "visibility": "public",
        },
    )
    assert answer.status_code == 201
    body = answer.json()
    assert body.keys() == KEYS
    assert re.fullmatch(r"ds_[0-9a-f]{16}", body["id"])
    assert body["created_at"].endswith("Z")
    expected = {
        "name": "Zippers",
        "description": "Teeth",
        "owner_id": OWNER.id,
        "format": "images",
        "source": "s3",
        "visibility": "public",
        "labeled": False,
        "num_items": 0,
        "size_mb": None,
        "tags": None,
        "storage_path": f"datasets/{body['id']}/",
        "owner_name": "Owner Example",
        "owner_email": "owner@example.com",
        "owner_badge_color": "blue",
    }
    assert {key: body[key] for key in expected} == expected

    members = (await owner.get(f"/api/v1/projects/{body['id']}/permissions")).json()
    assert [(member["user_id"], member["role"], member["granted_by"]) for member in members] == [(2, "owner", 2)]
    project = (await owner.get(f"/api/v1/datasets/{body['id']}/project")).json()
    assert re.fullmatch(r"proj_[0-9a-f]{12}", project["id"])
    assert project["name"] == "Zippers"
    assert project["description"] == "Teeth"
    assert project["owner_id"] == project["last_updated_by"] == OWNER.id
    assert project["task_types"] == ["detection", "segmentation"]
    assert project["task_config"] == {"detection": {"type": "bbox"}, "segmentation": {"type": "polygon"}}
    assert project["task_classes"] == {"detection": {}, "segmentation": {}}


async def test_every_task_type_may_be_chosen(api: Api) -> None:
    owner = await api.login("owner")
    tasks = ["classification", "detection", "segmentation", "geometry", "keypoint", "line"]
    made = (await owner.post("/api/v1/datasets", json={"name": "All", "task_types": tasks})).json()
    project = (await owner.get(f"/api/v1/projects/{made['id']}")).json()
    assert project["task_types"] == tasks
    assert project["task_config"] == {
        "classification": {"type": "single"},
        "detection": {"type": "bbox"},
        "segmentation": {"type": "polygon"},
        "geometry": {"type": "line"},
        "keypoint": {},
        "line": {},
    }


async def test_nulls_are_the_defaults(api: Api) -> None:
    owner = await api.login("owner")
    body = {"name": "한국어 데이터", "description": None, "task_types": None, "visibility": None, "unknown": 1}
    made = (await owner.post("/api/v1/datasets", json=body)).json()
    assert made["name"] == "한국어 데이터"
    assert made["description"] is None
    assert made["visibility"] == "private"
    project = (await owner.get(f"/api/v1/projects/{made['id']}")).json()
    assert project["task_types"] == []
    assert project["task_classes"] == {}
    assert project["description"] == "Annotations of the dataset 한국어 데이터"


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({}, ["body", "name"]),
        ({"name": ""}, ["body", "name"]),
        ({"name": "   "}, ["body", "name"]),
        ({"name": "x" * 201}, ["body", "name"]),
        ({"name": 7}, ["body", "name"]),
        ({"name": "x", "visibility": "secret"}, ["body", "visibility"]),
        ({"name": "x", "task_types": ["detektion"]}, ["body", "task_types", 0]),
        ({"name": "x", "task_types": "detection"}, ["body", "task_types"]),
        ({"name": "x", "task_types": ["detection", "detection"]}, ["body", "task_types"]),
    ],
)
async def test_bad_values_are_named(api: Api, body: object, loc: list[object]) -> None:
    owner = await api.login("owner")
    answer = await owner.post("/api/v1/datasets", json=body)
    assert answer.status_code == 422
    error = answer.json()
    assert isinstance(error["detail"], str)
    assert [item["loc"] for item in error["errors"]] == [loc]
    assert (await owner.get("/api/v1/datasets")).json() == []


async def test_a_text_that_cannot_be_stored_leaves_nothing_behind(api: Api) -> None:
    owner = await api.login("owner")
    answer = await owner.post("/api/v1/datasets", json={"name": "a\x00b"})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("The name may not hold characters that cannot be seen")
    assert (await owner.get("/api/v1/datasets")).json() == []


async def test_the_statements_do_not_grow_with_the_tasks(api: Api) -> None:
    owner = await api.login("owner")
    with api.count() as counted:
        await owner.post("/api/v1/datasets", json={"name": "one", "task_types": ["detection"]})
    one = counted.value
    with api.count() as counted:
        tasks = ["classification", "detection", "segmentation", "geometry", "keypoint", "line"]
        await owner.post("/api/v1/datasets", json={"name": "six", "task_types": tasks})
    assert counted.value == one == 1


async def test_many_at_once_are_all_made(api: Api) -> None:
    owner = await api.login("owner")
    bodies = [{"name": f"number {number}", "task_types": ["detection"]} for number in range(20)]
    answers = await asyncio.gather(*(owner.post("/api/v1/datasets", json=body) for body in bodies))
    assert {answer.status_code for answer in answers} == {201}
    listed = (await owner.get("/api/v1/datasets")).json()
    assert {dataset["name"] for dataset in listed} == {body["name"] for body in bodies}
    async with api.db.read() as connection:
        orphans = await connection.fetchval(
            "SELECT count(*) FROM annotation_projects p WHERE NOT EXISTS"
            " (SELECT FROM project_permissions m WHERE m.project_id = p.id AND m.role = 'owner')"
        )
    assert orphans == 0


async def test_a_body_that_is_not_json_is_refused_as_such(api: Api) -> None:
    owner = await api.login("owner")
    content = msgspec.json.encode({"name": "x"})
    answer = await owner.post("/api/v1/datasets", content=content, headers={"Content-Type": "text/plain"})
    assert answer.status_code == 422
    assert answer.json()["code"] == "not_json"
