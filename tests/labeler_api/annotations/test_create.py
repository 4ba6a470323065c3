"""POST and GET of one annotation."""

from typing import Any

import pytest

from tests.fixtures.accounts import ANNOTATOR
from tests.fixtures.annotating import (
    at,
    box,
    check_counters,
    create_annotation,
    history,
    no_object,
    project_with_members,
)
from tests.fixtures.api import Api
from tests.fixtures.rows import rows

KEYS = {
    "id", "project_id", "image_id", "annotation_type", "geometry", "class_id", "class_name", "attributes", "confidence",
    "created_by", "updated_by", "is_verified", "notes", "version", "annotation_state", "confirmed_at", "confirmed_by",
    "created_at", "updated_at", "created_by_name", "updated_by_name", "confirmed_by_name",
}  # fmt: skip


async def test_a_new_annotation_is_a_draft(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("annotator")
    geometry = {
        "type": "bbox",
        "bbox": [1.5, 2, 3, 4],
        "image_width": 640,
        "image_height": 480,
        "tool": {"name": "drag"},
    }
    body = await create_annotation(
        client, box(dataset, geometry=geometry, attributes={"a": [1, None]}, confidence=90, notes="see corner")
    )
    assert body.keys() == KEYS
    assert body["project_id"] == dataset.project_id
    assert body["image_id"] == dataset.image_ids[0]
    assert body["annotation_type"] == "bbox"
    assert body["class_id"] == "c1"
    assert body["class_name"] == "scratch"
    assert body["geometry"] == geometry
    assert body["attributes"] == {"a": [1, None]}
    assert body["confidence"] == 90
    assert body["notes"] == "see corner"
    assert body["is_verified"] is False
    assert body["version"] == 1
    assert body["annotation_state"] == "draft"
    assert body["created_by"] == ANNOTATOR.id
    assert body["created_by_name"] == "Annotator Example"
    assert [
        body[key] for key in ("updated_by", "updated_by_name", "confirmed_at", "confirmed_by", "confirmed_by_name")
    ] == [None] * 5
    assert body["created_at"] == body["updated_at"]
    assert body["created_at"].endswith("Z")
    assert (await client.get(at(body))).json() == body
    await check_counters(api, dataset)


async def test_it_writes_its_first_revision(api: Api) -> None:
    dataset = await project_with_members(api)
    body = await create_annotation(await api.login("annotator"), box(dataset))
    (revision,) = await history(api, body["id"])
    assert revision["action"] == "create"
    assert revision["previous_state"] is None
    assert revision["changed_by"] == ANNOTATOR.id
    assert revision["revision"] == 1
    assert revision["image_id"] == dataset.image_ids[0]
    assert revision["project_id"] == dataset.project_id
    state = revision["new_state"]
    assert state["image_id"] == dataset.image_ids[0]
    assert state["task_type"] == "detection"
    assert state["annotation_state"] == "draft"
    assert state["version"] == 1
    assert state["geometry"] == body["geometry"]


async def test_the_project_moves_on(api: Api) -> None:
    dataset = await project_with_members(api)
    await create_annotation(await api.login("annotator"), box(dataset))
    (project,) = await rows(
        api,
        "SELECT revision, last_updated_by, updated_at > created_at AS later FROM annotation_projects WHERE id = $1",
        dataset.project_id,
    )
    assert project == {"revision": 1, "last_updated_by": ANNOTATOR.id, "later": True}


async def test_no_object_is_confirmed_by_its_creator(api: Api) -> None:
    dataset = await project_with_members(api)
    body = await create_annotation(await api.login("annotator"), no_object(dataset, task="segmentation"))
    assert body["annotation_state"] == "confirmed"
    assert body["confirmed_by"] == ANNOTATOR.id
    assert body["confirmed_by_name"] == "Annotator Example"
    assert body["confirmed_at"] == body["created_at"]
    assert body["class_id"] is None
    assert body["class_name"] == "__background__"
    assert body["attributes"] == {"task_type": "segmentation"}
    assert await rows(api, "SELECT task_type FROM annotations") == [{"task_type": "segmentation"}]


@pytest.mark.parametrize(
    ("annotation_type", "geometry", "task"),
    [
        ("bbox", {"bbox": [0, 0, 1, 1]}, "detection"),
        ("rotated_bbox", {"center": [1, 2], "angle": 30}, "detection"),
        ("polygon", {"points": [[0, 0], [1, 0], [1, 1]]}, "segmentation"),
        ("polyline", {"points": [[0, 0], [1, 0]]}, "geometry"),
        ("circle", {"center": [5, 5], "radius": 2}, "geometry"),
        ("classification", {"type": "classification"}, "classification"),
    ],
)
async def test_the_task_follows_from_the_type(
    api: Api, annotation_type: str, geometry: dict[str, Any], task: str
) -> None:
    dataset = await project_with_members(api)
    body = await create_annotation(
        await api.login("annotator"), box(dataset, annotation_type=annotation_type, geometry=geometry)
    )
    assert body["geometry"] == geometry
    assert await rows(api, "SELECT task_type FROM annotations") == [{"task_type": task}]


@pytest.mark.parametrize("attributes", [None, "absent"])
async def test_absent_attributes_are_an_empty_object(api: Api, attributes: object) -> None:
    dataset = await project_with_members(api)
    sent = box(dataset) if attributes == "absent" else box(dataset, attributes=attributes)
    assert (await create_annotation(await api.login("annotator"), sent))["attributes"] == {}


async def test_a_class_that_the_project_lacks_is_kept(api: Api) -> None:
    """Undo re-creates annotations whose class was removed meanwhile, or came with an old import."""
    dataset = await project_with_members(api)
    body = await create_annotation(await api.login("annotator"), box(dataset, class_id="long gone", class_name="?"))
    assert body["class_id"] == "long gone"


async def test_the_dataset_id_names_the_project_too(api: Api) -> None:
    dataset = await project_with_members(api)
    body = await create_annotation(await api.login("annotator"), box(dataset, project_id=dataset.id))
    assert body["project_id"] == dataset.project_id


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"annotation_type": "cube"}, 400, "unknown_annotation_type"),
        ({"annotation_type": "no_object", "geometry": {"type": "no_object"}}, 400, "task_missing"),
        ({"annotation_type": "no_object", "geometry": {}, "attributes": {"task_type": ""}}, 400, "task_missing"),
        ({"annotation_type": "no_object", "geometry": {}, "attributes": {"task_type": 5}}, 400, "task_missing"),
        ({"annotation_type": "no_object", "geometry": {}, "attributes": {"task_type": "x" * 51}}, 400, "task_missing"),
        ({"image_id": "nowhere"}, 404, "image_not_found"),
        ({"project_id": "proj_nowhere"}, 404, "project_not_found"),
        ({"image_id": ""}, 422, "invalid"),
        ({"image_id": "x" * 256}, 422, "invalid"),
        ({"class_id": "x" * 51}, 422, "invalid"),
        ({"class_name": "x" * 256}, 422, "invalid"),
        ({"confidence": 101}, 422, "invalid"),
        ({"confidence": -1}, 422, "invalid"),
        ({"confidence": 0.5}, 422, "invalid"),
        ({"attributes": []}, 422, "invalid"),
        ({"geometry": None}, 422, "invalid"),
        ({"notes": "\0"}, 422, "json_invalid"),
        ({"attributes": {"a": "\0"}}, 422, "json_invalid"),
    ],
)
async def test_what_is_refused_leaves_nothing_behind(api: Api, changed: dict[str, Any], status: int, code: str) -> None:
    dataset = await project_with_members(api)
    response = await (await api.login("annotator")).post("/api/v1/annotations", json=box(dataset, **changed))
    answer = response.json()
    assert response.status_code == status, answer
    assert answer["code"] == code, answer
    assert isinstance(answer["detail"], str)
    assert ("errors" in answer) == (status == 422)
    for table in ("annotations", "annotation_history", "image_locks", "image_annotation_status"):
        assert await rows(api, f"SELECT * FROM {table}") == []


@pytest.mark.parametrize("missing", ["project_id", "image_id", "annotation_type", "geometry"])
async def test_what_has_to_be_there(api: Api, missing: str) -> None:
    dataset = await project_with_members(api)
    body = box(dataset)
    del body[missing]
    response = await (await api.login("annotator")).post("/api/v1/annotations", json=body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["body", missing]


async def test_undo_of_a_no_object_says_what_to_do(api: Api) -> None:
    """The screen's undo sends no attributes."""
    dataset = await project_with_members(api)
    body = no_object(dataset)
    del body["attributes"]
    response = await (await api.login("annotator")).post("/api/v1/annotations", json=body)
    assert response.status_code == 400
    assert '{"task_type": "detection"}' in response.json()["detail"]


@pytest.mark.parametrize("annotation_id", ["0", "x", "9" * 30, "1.5"])
async def test_an_id_that_is_none(api: Api, annotation_id: str) -> None:
    response = await (await api.login("annotator")).get(f"/api/v1/annotations/{annotation_id}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["path", "annotation_id"]


async def test_an_annotation_that_is_not_there(api: Api) -> None:
    response = await (await api.login("annotator")).get("/api/v1/annotations/12345")
    assert response.status_code == 404
    assert response.json()["code"] == "annotation_not_found"
