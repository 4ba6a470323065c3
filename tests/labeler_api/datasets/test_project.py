"""GET /datasets/{id}/project: live counts, and the project that is made when it is missing."""

import asyncio

import pytest

from tests.fixtures.accounts import OWNER, REVIEWER
from tests.fixtures.api import Api
from tests.fixtures.project_rows import KEYS, annotate, stored_class


async def _without_project(api: Api, dataset_id: str = "ds_alone", visibility: str = "private", images: int = 0) -> str:
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO datasets (id, name, description, owner_id, visibility, storage_path, num_images)"
            " VALUES ($1, 'Alone', 'Told', 2, $2, '', $3)",
            dataset_id,
            visibility,
            images,
        )
    return dataset_id


async def test_counts_are_live_and_by_task_and_class(api: Api) -> None:
    classes = {
        "detection": {"a": stored_class(0), "b": stored_class(1), "unused": stored_class(2)},
        "segmentation": {"a": stored_class(0)},
    }
    dataset = await api.dataset(tasks=["detection", "segmentation"], images=4, classes=classes)
    first, second, third, _ = dataset.image_ids
    boxes: list[tuple[str, str, str | None]] = [
        (first, "detection", "a"),
        (first, "detection", "a"),
        (second, "detection", "a"),
        (second, "detection", "b"),
        (second, "segmentation", "a"),
        (third, "detection", None),
    ]
    await annotate(api, dataset, boxes)
    owner = await api.login("owner")
    for reference in (dataset.id, dataset.project_id):
        body = (await owner.get(f"/api/v1/datasets/{reference}/project")).json()
        assert body.keys() == KEYS
        assert body["id"] == dataset.project_id
        assert body["dataset_id"] == dataset.id
        assert body["total_images"] == 4
        assert body["annotated_images"] == 3
        assert body["total_annotations"] == 6
        assert body["dataset_name"] == body["name"]
        assert body["dataset_num_items"] == 4
        counted = {
            (task, class_id): (info["image_count"], info["bbox_count"])
            for task, of_task in body["task_classes"].items()
            for class_id, info in of_task.items()
        }
        assert counted == {
            ("detection", "a"): (2, 3),
            ("detection", "b"): (1, 1),
            ("detection", "unused"): (0, 0),
            ("segmentation", "a"): (1, 1),
        }


async def test_the_last_updater_is_named(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"])
    async with api.db.begin() as tx:
        await tx.execute(
            f"UPDATE annotation_projects SET last_updated_by = {REVIEWER.id} WHERE id = $1", dataset.project_id
        )
    owner = await api.login("owner")
    body = (await owner.get(f"/api/v1/datasets/{dataset.id}/project")).json()
    assert body["last_updated_by"] == REVIEWER.id
    assert body["last_updated_by_name"] == "Reviewer Example"
    assert body["last_updated_by_email"] == "reviewer@example.com"


@pytest.mark.parametrize("updater", [None, 999])
async def test_nobody_or_a_deleted_updater_shows_as_null(api: Api, updater: int | None) -> None:
    dataset = await api.dataset()
    async with api.db.begin() as tx:
        await tx.execute(
            "UPDATE annotation_projects SET last_updated_by = $1 WHERE id = $2", updater, dataset.project_id
        )
    body = (await (await api.login("owner")).get(f"/api/v1/datasets/{dataset.id}/project")).json()
    assert body["last_updated_by"] == updater
    assert body["last_updated_by_name"] is None
    assert body["last_updated_by_email"] is None


async def test_a_missing_project_is_made_for_the_owner(api: Api) -> None:
    dataset_id = await _without_project(api, images=7)
    owner = await api.login("owner")
    body = (await owner.get(f"/api/v1/datasets/{dataset_id}/project")).json()
    expected = {
        "name": "Alone",
        "description": "Told",
        "dataset_id": dataset_id,
        "owner_id": OWNER.id,
        "task_types": [],
        "task_config": {},
        "task_classes": {},
        "settings": {},
        "total_images": 7,
        "annotated_images": 0,
        "total_annotations": 0,
        "status": "active",
        "last_updated_by": OWNER.id,
        "last_updated_by_name": "Owner Example",
    }
    assert {key: body[key] for key in expected} == expected
    again = (await owner.get(f"/api/v1/datasets/{dataset_id}/project")).json()
    assert again["id"] == body["id"]
    members = (await owner.get(f"/api/v1/projects/{dataset_id}/permissions")).json()
    assert [(member["user_id"], member["role"]) for member in members] == [(2, "owner")]


async def test_whoever_opens_a_public_dataset_first_does_not_become_its_owner(api: Api) -> None:
    dataset_id = await _without_project(api, visibility="public")
    stranger = await api.login("stranger")
    body = (await stranger.get(f"/api/v1/datasets/{dataset_id}/project")).json()
    assert body["owner_id"] == OWNER.id
    members = (await stranger.get(f"/api/v1/projects/{dataset_id}/permissions")).json()
    assert [(member["user_id"], member["role"]) for member in members] == [(2, "owner")]


async def test_a_stranger_makes_no_project(api: Api) -> None:
    dataset_id = await _without_project(api)
    assert (await (await api.login("stranger")).get(f"/api/v1/datasets/{dataset_id}/project")).status_code == 404
    async with api.db.read() as connection:
        assert await connection.fetchval("SELECT count(*) FROM annotation_projects") == 0


async def test_two_who_open_it_at_once_find_one_project(api: Api) -> None:
    dataset_id = await _without_project(api)
    owner, admin = await api.login("owner"), await api.login("admin")
    answers = await asyncio.gather(
        *(client.get(f"/api/v1/datasets/{dataset_id}/project") for client in (owner, admin) * 5)
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
    async with api.db.read() as connection:
        assert await connection.fetchval("SELECT count(*) FROM annotation_projects") == 1
        assert await connection.fetchval("SELECT count(*) FROM project_permissions") == 1


@pytest.mark.parametrize("number", [1, 10, 1000])
async def test_one_statement_whatever_the_number_of_classes_and_annotations(api: Api, number: int) -> None:
    classes = {"detection": {f"class{index}": stored_class(index) for index in range(number)}}
    dataset = await api.dataset(tasks=["detection"], images=1, classes=classes)
    await annotate(api, dataset, [(dataset.image_ids[0], "detection", f"class{index}") for index in range(number)])
    owner = await api.login("owner")
    with api.count() as counted:
        body = (await owner.get(f"/api/v1/datasets/{dataset.id}/project")).json()
    assert body["total_annotations"] == number
    assert {info["bbox_count"] for info in body["task_classes"]["detection"].values()} == {1}
    assert counted.value == 1
