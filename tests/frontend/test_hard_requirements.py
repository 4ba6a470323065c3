"""The sixteen hard requirements of the frontend, one test each, in their order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx

from tests.fixtures.api import ORIGIN, Api
from tests.fixtures.frontend_uploads import upload
from tests.frontend.scene import BOX, FOLDER_ID, JSON, TASK, Scene, ok


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


async def refusals(scene: Scene) -> list[tuple[int, httpx.Response]]:
    """An answer of each status that the frontend can meet."""
    owner, api, project = scene.owner, scene.api, f"/api/v1/projects/{scene.project_id}"
    drawn = await scene.draw()
    stranger, viewer = await api.login("stranger"), await api.login("viewer")
    await _join(scene, "viewer", "viewer")
    too_long = b" " * (api.services.settings.max_json_bytes + 1)
    locks = f"/api/v1/image-locks/{scene.project_id}"
    ok(await owner.post(f"{locks}/{FOLDER_ID}/acquire", json={}))
    await _join(scene, "annotator", "annotator")
    other = await api.login("annotator")
    box = {"project_id": scene.project_id, "image_id": FOLDER_ID, "annotation_type": "bbox", "geometry": BOX}
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


async def test_01_every_refusal_is_json_with_a_readable_detail_and_cors_headers(scene: Scene) -> None:
    answers = await refusals(scene)
    async with without_table(scene.api, "annotation_versions"):
        answers.append((500, await scene.owner.get(f"/api/v1/projects/{scene.project_id}/versions")))
    for status, answer in answers:
        assert answer.status_code == status, answer.text
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        detail = answer.json()["detail"]
        assert isinstance(detail, str)
        assert len(detail.split()) > 2


async def test_02_204_has_no_body_and_every_other_success_is_json(scene: Scene) -> None:
    classes = f"/api/v1/projects/{scene.project_id}/classes"
    empty = ok(await scene.owner.delete(f"{classes}/{scene.class_id}", params=TASK, headers=JSON), 204)
    assert empty.content == b""
    assert "content-length" not in empty.headers
    drawn = await scene.draw()
    for method, path, body in (
        ("DELETE", f"/annotations/{drawn['id']}", None),
        ("POST", f"/image-locks/{scene.project_id}/{FOLDER_ID}/heartbeat", {}),
        ("GET", f"/image-locks/{scene.project_id}", None),
        ("GET", f"/projects/{scene.project_id}/versions", None),
        ("GET", f"/projects/{scene.project_id}/stats", None),
        ("GET", f"/image-locks/{scene.project_id}/{FOLDER_ID}/status", None),
    ):
        answer = ok(await scene.owner.request(method, f"/api/v1{path}", json=body))
        assert answer.headers["Content-Type"] == "application/json"
        answer.json()


async def test_03_the_badge_color_of_me_is_a_string(api: Api) -> None:
    """The stranger's is NULL in the User DB."""
    for account in ("owner", "stranger"):
        me = ok(await (await api.login(account)).get("/api/v1/auth/me", headers=JSON)).json()
        assert isinstance(me["badge_color"], str)


async def test_04_geometry_keeps_its_type_and_neither_it_nor_attributes_is_null(scene: Scene) -> None:
    drawn = await scene.draw(attributes=None)
    for body in ({"geometry": None}, {"attributes": None}):
        ok(await scene.owner.put(f"/api/v1/annotations/{drawn['id']}", json=body), 422)
    moved = BOX | {"bbox": [1, 2, 3, 4]}
    ok(await scene.owner.put(f"/api/v1/annotations/{drawn['id']}", json={"geometry": moved}))
    for query in ({"image_id": FOLDER_ID}, {}):
        (listed,) = await scene.get(f"/annotations/project/{scene.project_id}", skip=0, limit=1000, **query)
        assert listed["geometry"] == moved
        assert listed["attributes"] == {}


async def test_05_task_types_is_a_list_and_task_classes_an_object_of_objects(scene: Scene) -> None:
    for task in ("segmentation", "classification", "geometry"):
        path = f"/api/v1/projects/{scene.project_id}/task-types"
        ok(await scene.owner.post(path, json={"task_type": task}))
    for path in (f"/projects/{scene.project_id}", f"/datasets/{scene.dataset_id}/project"):
        project = await scene.get(path)
        assert project["task_types"] == ["detection", "segmentation", "classification", "geometry"]
        assert set(project["task_classes"]) == set(project["task_types"])
        assert project["task_classes"]["detection"][scene.class_id]["name"] == "scratch"
        assert project["task_classes"]["geometry"] == {}


async def test_06_sizes_are_json_numbers(scene: Scene) -> None:
    size = await scene.get(f"/datasets/{scene.dataset_id}/size")
    impact = await scene.get(f"/datasets/{scene.dataset_id}/deletion-impact")
    for number in (size["total_mb"], size["total_gb"], impact["storage_size_mb"]):
        assert isinstance(number, int | float)
        assert not isinstance(number, bool)


async def test_07_a_pending_received_invitation_carries_its_token(scene: Scene) -> None:
    body = {"project_id": scene.dataset_id, "invitee_user_id": 4, "role": "annotator"}
    ok(await scene.owner.post("/api/v1/invitations", json=body))
    invitee = await scene.api.login("annotator")
    query = {"type": "received", "status": "pending"}
    (invitation,) = ok(await invitee.get("/api/v1/invitations", params=query)).json()["invitations"]
    accepted = ok(await invitee.post("/api/v1/invitations/accept", json={"token": invitation["token"]})).json()
    assert accepted["project_id"] == scene.dataset_id
    assert scene.dataset_id in [one["id"] for one in ok(await invitee.get("/api/v1/datasets")).json()]


async def test_08_lock_statuses_are_the_words_that_the_screen_compares_with(scene: Scene) -> None:
    await _join(scene, "annotator", "annotator")
    other, path = await scene.api.login("annotator"), f"/api/v1/image-locks/{scene.project_id}/{FOLDER_ID}"

    async def status(client: httpx.AsyncClient, method: str, action: str = "") -> Any:
        return ok(await client.request(method, path + action, json={})).json()["status"]

    assert await status(scene.owner, "DELETE") == "not_locked"
    assert await status(scene.owner, "POST", "/heartbeat") == "not_locked"
    assert await status(scene.owner, "POST", "/acquire") == "acquired"
    assert await status(scene.owner, "POST", "/acquire") == "refreshed"
    assert await status(scene.owner, "POST", "/heartbeat") == "updated"
    assert await status(other, "POST", "/heartbeat") == "not_owner"
    assert await status(other, "DELETE") == "not_owner"
    refused = ok(await other.post(f"{path}/acquire", json={})).json()
    assert refused["status"] == "already_locked"
    assert refused["locked_by"]["user_name"] == "Owner Example"
    assert await status(scene.owner, "DELETE", "/force") == "released"
    assert await status(scene.owner, "DELETE", "/force") == "not_locked"
    assert await status(other, "POST", "/acquire") == "acquired"
    assert await status(other, "DELETE") == "released"


async def test_09_create_answers_what_the_canvas_keeps(scene: Scene) -> None:
    drawn = await scene.draw(confidence=80, attributes={"side": "left"})
    assert isinstance(drawn["id"], int)
    expected = {
        "annotation_type": "bbox",
        "class_id": scene.class_id,
        "class_name": "scratch",
        "geometry": BOX,
        "attributes": {"side": "left"},
        "confidence": 80,
    }
    assert {name: drawn[name] for name in expected} == expected
    assert drawn["created_at"].endswith("Z")
    assert drawn["updated_at"].endswith("Z")


async def test_10_ids_with_slashes_are_understood_raw_and_encoded(scene: Scene) -> None:
    await scene.draw()
    raw, encoded = FOLDER_ID, FOLDER_ID.replace("/", "%2F")
    for form in (raw, encoded):
        lock = f"/api/v1/image-locks/{scene.project_id}/{form}"
        ok(await scene.owner.post(f"{lock}/acquire", json={}))
        assert ok(await scene.owner.get(f"{lock}/status")).json()["image_id"] == FOLDER_ID
        confirm = f"/api/v1/projects/{scene.project_id}/images/{form}"
        for action, confirmed in (("confirm", True), ("unconfirm", False)):
            answer = ok(await scene.owner.post(f"{confirm}/{action}", params=TASK, json={})).json()
            assert answer["image_id"] == FOLDER_ID
            assert answer["is_confirmed"] == confirmed


async def test_11_the_members_are_listed_under_the_dataset_id_with_the_owner_among_them(scene: Scene) -> None:
    members = await scene.get(f"/projects/{scene.dataset_id}/permissions")
    assert [(one["user_id"], one["role"], one["project_id"]) for one in members] == [(2, "owner", scene.project_id)]


async def test_12_an_upload_takes_many_files_with_their_folders_and_answers_in_json(scene: Scene) -> None:
    names = ["wheels/left/1.jpg", "wheels/right/1.jpg", "2.jpg"]
    summary = ok(await upload(scene.owner, scene.dataset_id, *names)).json()
    assert summary["images_uploaded"] == 3
    assert summary["folder_structure"] == {"wheels/left": 1, "wheels/right": 1}
    assert isinstance(summary["annotations_imported"], int)
    refused = await upload(scene.owner, "ds_0000000000000000", *names)
    assert isinstance(ok(refused, 404).json()["detail"], str)


async def test_13_statuses_and_states_are_the_words_that_the_screen_knows(scene: Scene) -> None:
    drawn = await scene.draw()
    assert drawn["annotation_state"] == "draft"
    assert await _statuses(scene) == {FOLDER_ID: "in-progress", "top": "not-started"}
    confirmed = ok(await scene.owner.post(f"/api/v1/annotations/{drawn['id']}/confirm", json={})).json()
    assert confirmed["annotation_state"] == "confirmed"
    assert await _statuses(scene) == {FOLDER_ID: "completed", "top": "not-started"}


async def test_14_image_statuses_take_a_limit_of_200(scene: Scene) -> None:
    page = await scene.get(f"/projects/{scene.project_id}/images/status", limit=200, offset=0)
    assert page["total"] == len(page["statuses"]) == 2


async def test_15_an_image_has_one_id_wherever_it_is_named(scene: Scene) -> None:
    drawn = await scene.draw()
    ok(await scene.owner.post(f"/api/v1/image-locks/{scene.project_id}/{FOLDER_ID}/acquire", json={}))
    project = f"/projects/{scene.project_id}"
    images = [one["id"] for one in (await scene.get(f"{project}/images"))["images"]]
    statuses = [one["image_id"] for one in (await scene.get(f"{project}/images/status"))["statuses"]]
    (lock,) = (await scene.get(f"/image-locks/{scene.project_id}"))["locks"]
    previews = {one["id"] for one in await scene.get(f"/datasets/{scene.dataset_id}/images", limit=8)}
    assert images == statuses
    assert set(images) == previews
    assert FOLDER_ID in images
    assert drawn["image_id"] == lock["image_id"] == FOLDER_ID


async def test_16_a_dataset_is_deleted_by_a_delete_with_a_json_body(scene: Scene) -> None:
    path = f"/api/v1/datasets/{scene.dataset_id}"
    body = {"dataset_name_confirmation": "Scratches", "create_backup": False}
    deleted = ok(await scene.owner.request("DELETE", path, json=body)).json()
    assert deleted["deleted"] is True
    assert deleted["dataset_name"] == "Scratches"
    ok(await scene.owner.get(path), 404)


async def _join(scene: Scene, account: str, role: str) -> None:
    body = {"user_email": f"{account}@example.com", "role": role}
    ok(await scene.owner.post(f"/api/v1/projects/{scene.dataset_id}/permissions", json=body), 201)


async def _statuses(scene: Scene) -> dict[str, str]:
    page = await scene.get(f"/projects/{scene.project_id}/images/status", **TASK)
    return {one["image_id"]: one["status"] for one in page["statuses"]}
