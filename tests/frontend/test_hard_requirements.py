"""The sixteen hard requirements of the frontend, one test each, in their order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx

from tests.fixtures.accounts import ANNOTATOR
from tests.fixtures.api import ORIGIN, Api
from tests.fixtures.frontend_uploads import upload
from tests.frontend.opened import BOX, FOLDER_ID, JSON, TASK, OpenProject, ok


@asynccontextmanager
async def without_table(api: Api, table: str) -> AsyncIterator[None]:
    """A table is gone for a while, which no code expects."""
    connection = await asyncpg.connect(api.services.settings.labeler_db_url)
    try:
        await connection.execute(f"ALTER TABLE {table} RENAME TO hidden_{table}")
        yield
    finally:
        await connection.execute(f"ALTER TABLE hidden_{table} RENAME TO {table}")
        await connection.close()


async def refusals(opened: OpenProject) -> list[tuple[int, httpx.Response]]:
    """An answer of each status that the frontend can meet."""
    owner, api, project = opened.owner, opened.api, f"/api/v1/projects/{opened.project_id}"
    drawn = await opened.draw()
    stranger, viewer = await api.login("stranger"), await api.login("viewer")
    await _join(opened, "viewer", "viewer")
    too_long = b" " * (api.services.settings.max_json_bytes + 1)
    locks = f"/api/v1/image-locks/{opened.project_id}"
    ok(await owner.post(f"{locks}/{FOLDER_ID}/acquire", json={}))
    await _join(opened, "annotator", "annotator")
    other = await api.login("annotator")
    box = {"project_id": opened.project_id, "image_id": FOLDER_ID, "annotation_type": "bbox", "geometry": BOX}
    annotation = f"/api/v1/annotations/{drawn['id']}"
    return [
        (400, await owner.post(f"{project}/task-types", json=TASK)),
        (401, await api.client().get("/api/v1/auth/me")),
        (401, await api.client().post("/api/v1/auth/login", json={"email": "owner@example.com", "password": "no"})),
        (403, await viewer.post("/api/v1/annotations", json=box)),
        (404, await stranger.get(project)),
        (404, await owner.get("/api/v1/nothing/here")),
        (405, await owner.delete("/api/v1/auth/me")),
        (409, await owner.put(annotation, json={"geometry": BOX, "version": 7})),
        (413, await owner.post("/api/v1/annotations", content=too_long, headers=JSON)),
        (422, await owner.post("/api/v1/annotations", json={"project_id": 7})),
        (422, await owner.post("/api/v1/annotations", content=b"{", headers=JSON)),
        (422, await owner.post("/api/v1/datasets", content=b"a=b", headers={"Content-Type": "text/plain"})),
        (423, await other.post("/api/v1/annotations", json=box)),
    ]


async def test_01_every_refusal_is_json_with_a_readable_detail_and_cors_headers(opened: OpenProject) -> None:
    answers = await refusals(opened)
    async with without_table(opened.api, "annotation_versions"):
        answers.append((500, await opened.owner.get(f"/api/v1/projects/{opened.project_id}/versions")))
    for status, answer in answers:
        assert answer.status_code == status, answer.text
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        detail = answer.json()["detail"]
        assert isinstance(detail, str)
        assert len(detail.split()) > 2


async def test_02_204_has_no_body_and_every_other_success_is_json(opened: OpenProject) -> None:
    classes = f"/api/v1/projects/{opened.project_id}/classes"
    empty = ok(await opened.owner.delete(f"{classes}/{opened.class_id}", params=TASK, headers=JSON), 204)
    assert empty.content == b""
    assert "content-length" not in empty.headers
    drawn = await opened.draw()
    for method, path, body in (
        ("DELETE", f"/annotations/{drawn['id']}", None),
        ("POST", f"/image-locks/{opened.project_id}/{FOLDER_ID}/heartbeat", {}),
        ("GET", f"/image-locks/{opened.project_id}", None),
        ("GET", f"/projects/{opened.project_id}/versions", None),
        ("GET", f"/projects/{opened.project_id}/stats", None),
        ("GET", f"/image-locks/{opened.project_id}/{FOLDER_ID}/status", None),
    ):
        answer = ok(await opened.owner.request(method, f"/api/v1{path}", json=body))
        assert answer.headers["Content-Type"] == "application/json"
        answer.json()


async def test_03_the_badge_color_of_me_is_a_string(api: Api) -> None:
    """The stranger's is NULL in the User DB."""
    for account in ("owner", "stranger"):
        me = ok(await (await api.login(account)).get("/api/v1/auth/me", headers=JSON)).json()
        assert isinstance(me["badge_color"], str)


async def test_04_geometry_keeps_its_type_and_neither_it_nor_attributes_is_null(opened: OpenProject) -> None:
    drawn = await opened.draw(attributes=None)
    for body in ({"geometry": None}, {"attributes": None}):
        ok(await opened.owner.put(f"/api/v1/annotations/{drawn['id']}", json=body), 422)
    moved = BOX | {"bbox": [1, 2, 3, 4]}
    ok(await opened.owner.put(f"/api/v1/annotations/{drawn['id']}", json={"geometry": moved}))
    for query in ({"image_id": FOLDER_ID}, {}):
        (listed,) = await opened.get(f"/annotations/project/{opened.project_id}", skip=0, limit=1000, **query)
        assert listed["geometry"] == moved
        assert listed["attributes"] == {}


async def test_05_task_types_is_a_list_and_task_classes_an_object_of_objects(opened: OpenProject) -> None:
    for task in ("segmentation", "classification", "geometry"):
        path = f"/api/v1/projects/{opened.project_id}/task-types"
        ok(await opened.owner.post(path, json={"task_type": task}))
    for path in (f"/projects/{opened.project_id}", f"/datasets/{opened.dataset_id}/project"):
        project = await opened.get(path)
        assert project["task_types"] == ["detection", "segmentation", "classification", "geometry"]
        assert set(project["task_classes"]) == set(project["task_types"])
        assert project["task_classes"]["detection"][opened.class_id]["name"] == "scratch"
        assert project["task_classes"]["geometry"] == {}


async def test_06_sizes_are_json_numbers(opened: OpenProject) -> None:
    size = await opened.get(f"/datasets/{opened.dataset_id}/size")
    impact = await opened.get(f"/datasets/{opened.dataset_id}/deletion-impact")
    for number in (size["total_mb"], size["total_gb"], impact["storage_size_mb"]):
        assert isinstance(number, int | float)
        assert not isinstance(number, bool)


async def test_07_a_pending_received_invitation_carries_its_token(opened: OpenProject) -> None:
    body = {"project_id": opened.dataset_id, "invitee_user_id": ANNOTATOR.id, "role": "annotator"}
    ok(await opened.owner.post("/api/v1/invitations", json=body))
    invitee = await opened.api.login("annotator")
    query = {"type": "received", "status": "pending"}
    (invitation,) = ok(await invitee.get("/api/v1/invitations", params=query)).json()["invitations"]
    accepted = ok(await invitee.post("/api/v1/invitations/accept", json={"token": invitation["token"]})).json()
    assert accepted["project_id"] == opened.dataset_id
    assert opened.dataset_id in [one["id"] for one in ok(await invitee.get("/api/v1/datasets")).json()]


async def test_08_lock_statuses_are_the_words_that_the_screen_compares_with(opened: OpenProject) -> None:
    await _join(opened, "annotator", "annotator")
    other, path = await opened.api.login("annotator"), f"/api/v1/image-locks/{opened.project_id}/{FOLDER_ID}"

    async def status(client: httpx.AsyncClient, method: str, action: str = "") -> Any:
        return ok(await client.request(method, path + action, json={})).json()["status"]

    assert await status(opened.owner, "DELETE") == "not_locked"
    assert await status(opened.owner, "POST", "/heartbeat") == "not_locked"
    assert await status(opened.owner, "POST", "/acquire") == "acquired"
    assert await status(opened.owner, "POST", "/acquire") == "refreshed"
    assert await status(opened.owner, "POST", "/heartbeat") == "updated"
    assert await status(other, "POST", "/heartbeat") == "not_owner"
    assert await status(other, "DELETE") == "not_owner"
    refused = ok(await other.post(f"{path}/acquire", json={})).json()
    assert refused["status"] == "already_locked"
    assert refused["locked_by"]["user_name"] == "Owner Example"
    assert await status(opened.owner, "DELETE", "/force") == "released"
    assert await status(opened.owner, "DELETE", "/force") == "not_locked"
    assert await status(other, "POST", "/acquire") == "acquired"
    assert await status(other, "DELETE") == "released"


async def test_09_create_answers_what_the_canvas_keeps(opened: OpenProject) -> None:
    drawn = await opened.draw(confidence=80, attributes={"side": "left"})
    assert isinstance(drawn["id"], int)
    expected = {
        "annotation_type": "bbox",
        "class_id": opened.class_id,
        "class_name": "scratch",
        "geometry": BOX,
        "attributes": {"side": "left"},
        "confidence": 80,
    }
    assert {name: drawn[name] for name in expected} == expected
    assert drawn["created_at"].endswith("Z")
    assert drawn["updated_at"].endswith("Z")


async def test_10_ids_with_slashes_are_understood_raw_and_encoded(opened: OpenProject) -> None:
    await opened.draw()
    raw, encoded = FOLDER_ID, FOLDER_ID.replace("/", "%2F")
    for form in (raw, encoded):
        lock = f"/api/v1/image-locks/{opened.project_id}/{form}"
        ok(await opened.owner.post(f"{lock}/acquire", json={}))
        assert ok(await opened.owner.get(f"{lock}/status")).json()["image_id"] == FOLDER_ID
        confirm = f"/api/v1/projects/{opened.project_id}/images/{form}"
        for action, confirmed in (("confirm", True), ("unconfirm", False)):
            answer = ok(await opened.owner.post(f"{confirm}/{action}", params=TASK, json={})).json()
            assert answer["image_id"] == FOLDER_ID
            assert answer["is_confirmed"] == confirmed


async def test_11_the_members_are_listed_under_the_dataset_id_with_the_owner_among_them(opened: OpenProject) -> None:
    members = await opened.get(f"/projects/{opened.dataset_id}/permissions")
    assert [(one["user_id"], one["role"], one["project_id"]) for one in members] == [(2, "owner", opened.project_id)]


async def test_12_an_upload_takes_many_files_with_their_folders_and_answers_in_json(opened: OpenProject) -> None:
    names = ["wheels/left/1.jpg", "wheels/right/1.jpg", "2.jpg"]
    summary = ok(await upload(opened.owner, opened.dataset_id, *names)).json()
    assert summary["images_uploaded"] == 3
    assert summary["folder_structure"] == {"wheels/left": 1, "wheels/right": 1}
    assert isinstance(summary["annotations_imported"], int)
    refused = await upload(opened.owner, "ds_0000000000000000", *names)
    assert isinstance(ok(refused, 404).json()["detail"], str)


async def test_13_statuses_and_states_are_the_words_that_the_screen_knows(opened: OpenProject) -> None:
    drawn = await opened.draw()
    assert drawn["annotation_state"] == "draft"
    assert await _statuses(opened) == {FOLDER_ID: "in-progress", "top": "not-started"}
    confirmed = ok(await opened.owner.post(f"/api/v1/annotations/{drawn['id']}/confirm", json={})).json()
    assert confirmed["annotation_state"] == "confirmed"
    assert await _statuses(opened) == {FOLDER_ID: "completed", "top": "not-started"}


async def test_14_image_statuses_take_a_limit_of_200(opened: OpenProject) -> None:
    page = await opened.get(f"/projects/{opened.project_id}/images/status", limit=200, offset=0)
    assert page["total"] == len(page["statuses"]) == 2


async def test_15_an_image_has_one_id_wherever_it_is_named(opened: OpenProject) -> None:
    drawn = await opened.draw()
    ok(await opened.owner.post(f"/api/v1/image-locks/{opened.project_id}/{FOLDER_ID}/acquire", json={}))
    project = f"/projects/{opened.project_id}"
    images = [one["id"] for one in (await opened.get(f"{project}/images"))["images"]]
    statuses = [one["image_id"] for one in (await opened.get(f"{project}/images/status"))["statuses"]]
    (lock,) = (await opened.get(f"/image-locks/{opened.project_id}"))["locks"]
    previews = {one["id"] for one in await opened.get(f"/datasets/{opened.dataset_id}/images", limit=8)}
    assert images == statuses
    assert set(images) == previews
    assert FOLDER_ID in images
    assert drawn["image_id"] == lock["image_id"] == FOLDER_ID


async def test_16_a_dataset_is_deleted_by_a_delete_with_a_json_body(opened: OpenProject) -> None:
    path = f"/api/v1/datasets/{opened.dataset_id}"
    body = {"dataset_name_confirmation": "Scratches", "create_backup": False}
    deleted = ok(await opened.owner.request("DELETE", path, json=body)).json()
    assert deleted["deleted"] is True
    assert deleted["dataset_name"] == "Scratches"
    ok(await opened.owner.get(path), 404)


async def _join(opened: OpenProject, account: str, role: str) -> None:
    body = {"user_email": f"{account}@example.com", "role": role}
    ok(await opened.owner.post(f"/api/v1/projects/{opened.dataset_id}/permissions", json=body), 201)


async def _statuses(opened: OpenProject) -> dict[str, str]:
    page = await opened.get(f"/projects/{opened.project_id}/images/status", **TASK)
    return {one["image_id"]: one["status"] for one in page["statuses"]}
