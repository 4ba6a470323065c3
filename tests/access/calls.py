"""How to make each call of docs/access.md: the path is filled from the stage, the rest stands here.

`me` is the caller's account. What is not in `CALLS` is a call without a body whose path says everything.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.access.stage import BOX, CONTENT_SHA256, IDS, Stage
from tests.fixtures.api import Api
from tests.labeler_api.images.pictures import picture

A = "/api/v1"
DATASET = f"{A}/datasets/{{dataset_id}}"
PROJECT = f"{A}/projects/{{project_id}}"
ANNOTATION = f"{A}/annotations/{{annotation_id}}"
LOCK = f"{A}/image-locks/{{project_id}}/{{image_id}}"
JPEG = picture(32, 24)
_EXPORTED = {"task_type": "detection", "export_id": "export_20261122_120000_0badcafe", "file_name": "annotations.json"}


@dataclass(frozen=True)
class Ask:
    """A request, but for the method and the path's form. `link` is a kind of signed link: its query is added."""

    path: Mapping[str, object] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] = field(default_factory=dict)
    files: tuple[tuple[str, tuple[str, bytes]], ...] = ()
    link: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """`shows` tells whether a 200 shows or does the thing, `arrange` what has to be there beforehand."""

    ask: Callable[[Stage, str], Ask]
    shows: Callable[[Stage, Any], bool] | None = None
    arrange: Callable[[Api, Stage, str], Awaitable[None]] | None = None


def _json(**body: Any) -> Call:
    """A body that is the same whatever the call is about."""
    return Call(lambda _stage, _me: Ask(json=body))


def _user(account: str, **body: Any) -> Call:
    """A call about a fixed account."""
    return Call(lambda _stage, _me: Ask(path={"user_id": IDS[account]}, json=body or None))


def _member(**body: Any) -> Call:
    """A call about a member with the role annotator."""
    return Call(lambda stage, _me: Ask(path={"user_id": stage.member_id}, json=body or None))


def _own(**body: Any) -> Call:
    return Call(lambda stage, me: Ask(path={"annotation_id": stage.own[me]}, json=body))


def _box(stage: Stage) -> dict[str, Any]:
    return {
        "project_id": stage.project_id,
        "image_id": stage.free_image_id,
        "annotation_type": "bbox",
        "geometry": BOX,
        "class_id": stage.class_id,
    }


def _listed(key: str, field_name: str = "id") -> Callable[[Stage, Any], bool]:
    return lambda stage, body: any(item[field_name] == getattr(stage, key) for item in body)


def _invitation_shown(stage: Stage, body: Any) -> bool:
    return any(item["id"] == stage.invitation_id for item in body["invitations"])


async def _for_me(api: Api, stage: Stage, me: str) -> None:
    async with api.db.begin() as tx:
        await tx.execute("UPDATE invitations SET invitee_id = $2 WHERE id = $1", stage.invitation_id, IDS[me])


async def _by_me(api: Api, stage: Stage, me: str) -> None:
    async with api.db.begin() as tx:
        await tx.execute("UPDATE invitations SET inviter_id = $2 WHERE id = $1", stage.invitation_id, IDS[me])


async def _stored(api: Api, stage: Stage, _me: str) -> None:
    """Put the bytes of an image, its thumbnail and the version into the store."""
    folder = f"datasets/{stage.dataset_id}"
    for key in (f"{folder}/images/{stage.image_id}.jpg", f"{folder}/thumbnails/{stage.image_id}.jpg"):
        await api.services.objects.put("datasets", key, b"{}", "image/jpeg")
    for version in ("v1.0", _EXPORTED["export_id"]):
        key = f"exports/{stage.project_id}/detection/{version}/annotations.json"
        await api.services.objects.put("annotations", key, b"{}", "application/json")


async def _to_import(api: Api, stage: Stage, _me: str) -> None:
    """Put an annotation file where the dataset says that it is."""
    key = f"datasets/{stage.dataset_id}/annotations_detection.json"
    body = f"""{{"images": [{{"id": 1, "file_name": "{stage.free_image_id}", "width": 640, "height": 480}}],
        "annotations": [{{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0}}],
        "categories": [{{"id": 1, "name": "dent", "supercategory": "", "color": "#ff0000"}}]}}"""
    await api.services.objects.put("datasets", key, body.encode(), "application/json")
    async with api.db.begin() as tx:
        await tx.execute("UPDATE datasets SET annotation_path = $2 WHERE id = $1", stage.dataset_id, key)


def _deletion(stage: Stage) -> int:
    """The id of the deletion that `_deleted` makes; far from those of the sequence."""
    return 10**9 + stage.annotation_id


async def _deleted(api: Api, stage: Stage, _me: str) -> None:
    """Put an image into the bin."""
    async with api.db.begin() as tx:
        await tx.execute(
            "WITH gone AS (DELETE FROM image_metadata WHERE dataset_id = $2 AND id = $3 RETURNING *)"
            " INSERT INTO deleted_images (id, dataset_id, image_id, deleted_by, restorable_until, purge_after,"
            " annotation_count, s3_key, thumbnail_key, image) SELECT $1, dataset_id, id, 2,"
            " now() + interval '30 days', now() + interval '30 days', 0, s3_key, thumbnail_key, to_jsonb(gone)"
            " FROM gone",
            _deletion(stage),
            stage.dataset_id,
            stage.free_image_id,
        )


async def _confirmed(api: Api, stage: Stage, me: str) -> None:
    """Confirm the annotations of the image, so that there is something to unconfirm."""
    async with api.db.begin() as tx:
        await tx.execute(
            "UPDATE annotations SET annotation_state = 'confirmed', confirmed_by = $2, confirmed_at = now()"
            " WHERE project_id = $1",
            stage.project_id,
            IDS["reviewer"],
        )


_IMAGES = (("files", ("train/new.jpg", JPEG)),)
_EXPORT = {"task_type": "detection", "export_format": "dice", "include_draft": True}

CALLS: dict[tuple[str, str], Call] = {
    (f"POST {A}/auth/login", ""): Call(
        lambda _stage, me: Ask(json={"email": f"{me}@example.com", "password": f"{me}123"})
    ),
    (f"GET {A}/users/search", ""): Call(lambda _stage, _me: Ask(params={"q": "example"})),
    (f"GET {A}/users/search", "without the members of a project"): Call(
        lambda stage, _me: Ask(params={"q": "example", "project_id": stage.project_id})
    ),
    (f"GET {A}/users/{{user_id}}", ""): _user("landlord"),
    (f"POST {A}/datasets", ""): _json(name="New", task_types=["detection"]),
    (f"GET {A}/datasets", ""): Call(lambda _stage, _me: Ask(params={"limit": 5}), _listed("dataset_id")),
    (f"PUT {DATASET}", ""): _json(name="Renamed"),
    (f"GET {DATASET}/project", "a dataset without a project"): Call(
        lambda stage, _me: Ask(path={"dataset_id": stage.bare_dataset_id})
    ),
    (f"DELETE {DATASET}", ""): Call(lambda stage, _me: Ask(json={"dataset_name_confirmation": stage.name})),
    (f"POST {A}/datasets/upload", ""): Call(lambda _stage, _me: Ask(form={"dataset_name": "New"}, files=_IMAGES)),
    (f"POST {DATASET}/images", ""): Call(lambda _stage, _me: Ask(files=_IMAGES)),
    (f"POST {DATASET}/images/delete", ""): Call(lambda stage, _me: Ask(json={"image_ids": [stage.image_id]})),
    (f"GET {DATASET}/images/deleted", ""): Call(lambda _stage, _me: Ask(), arrange=_deleted),
    (f"POST {DATASET}/images/restore", ""): Call(
        lambda stage, _me: Ask(json={"deletion_ids": [_deletion(stage)]}), arrange=_deleted
    ),
    (f"POST {DATASET}/storage/preview", ""): _json(
        file_mappings=[{"filename": "a.jpg", "relative_path": "a.jpg", "size": 1}], target_folder=""
    ),
    (f"POST {DATASET}/permissions/invite", "as a member"): _json(user_email="newcomer@example.com", role="member"),
    (f"POST {DATASET}/permissions/invite", "as the owner"): _json(user_email="newcomer@example.com", role="owner"),
    (f"PUT {DATASET}/permissions/{{user_id}}", "an annotator's"): _member(role="member"),
    (f"PUT {DATASET}/permissions/{{user_id}}", "an admin's"): _user("deputy", role="member"),
    (f"PUT {DATASET}/permissions/{{user_id}}", "the owner's"): _user("owner", role="member"),
    (f"DELETE {DATASET}/permissions/{{user_id}}", "an annotator's"): _member(),
    (f"DELETE {DATASET}/permissions/{{user_id}}", "an admin's"): _user("deputy"),
    (f"DELETE {DATASET}/permissions/{{user_id}}", "the owner's"): _user("owner"),
    (f"POST {DATASET}/permissions/transfer-owner", ""): Call(
        lambda stage, _me: Ask(json={"new_owner_user_id": stage.member_id})
    ),
    (f"POST {A}/projects", "a dataset without a project"): Call(
        lambda stage, _me: Ask(json=_project(stage.bare_dataset_id))
    ),
    (f"POST {A}/projects", "a dataset that has one"): Call(lambda stage, _me: Ask(json=_project(stage.dataset_id))),
    (f"GET {A}/projects", ""): Call(lambda _stage, _me: Ask(params={"limit": 5}), _listed("project_id")),
    (f"PATCH {PROJECT}", ""): _json(name="Renamed"),
    (f"POST {PROJECT}/task-types", ""): _json(task_type="segmentation"),
    (f"POST {PROJECT}/images/{{image_id}}/confirm", ""): _json(),
    (f"POST {PROJECT}/images/{{image_id}}/unconfirm", ""): Call(lambda _stage, _me: Ask(json={}), arrange=_confirmed),
    (f"POST {PROJECT}/permissions", "as an annotator"): _json(user_email="newcomer@example.com", role="annotator"),
    (f"POST {PROJECT}/permissions", "as an admin"): _json(user_email="newcomer@example.com", role="admin"),
    (f"POST {PROJECT}/permissions", "as the owner"): _json(user_email="newcomer@example.com", role="owner"),
    (f"PATCH {PROJECT}/permissions/{{user_id}}", "an annotator's"): _member(role="reviewer"),
    (f"PATCH {PROJECT}/permissions/{{user_id}}", "an annotator's, to admin"): _member(role="admin"),
    (f"PATCH {PROJECT}/permissions/{{user_id}}", "an annotator's, to owner"): _member(role="owner"),
    (f"PATCH {PROJECT}/permissions/{{user_id}}", "an admin's"): _user("deputy", role="viewer"),
    (f"PATCH {PROJECT}/permissions/{{user_id}}", "the owner's"): _user("owner", role="viewer"),
    (f"DELETE {PROJECT}/permissions/{{user_id}}", "an annotator's"): _member(),
    (f"DELETE {PROJECT}/permissions/{{user_id}}", "an admin's"): _user("deputy"),
    (f"DELETE {PROJECT}/permissions/{{user_id}}", "the owner's"): _user("owner"),
    (f"POST {PROJECT}/transfer-ownership", ""): Call(
        lambda stage, _me: Ask(json={"new_owner_user_id": stage.member_id})
    ),
    (f"POST {PROJECT}/classes", ""): Call(
        lambda _stage, _me: Ask(
            params={"task_type": "detection"}, json={"class_id": "c_new", "name": "scratch", "color": "#00ff00"}
        )
    ),
    (f"PATCH {PROJECT}/classes/{{class_id}}", ""): Call(
        lambda _stage, _me: Ask(params={"task_type": "detection"}, json={"name": "scratch"})
    ),
    (f"DELETE {PROJECT}/classes/{{class_id}}", ""): Call(lambda _stage, _me: Ask(params={"task_type": "detection"})),
    (f"PUT {PROJECT}/classes/reorder", ""): Call(
        lambda stage, _me: Ask(params={"task_type": "detection"}, json={"class_ids": [stage.class_id]})
    ),
    (f"POST {A}/annotations", ""): Call(lambda stage, _me: Ask(json=_box(stage))),
    (f"PUT {ANNOTATION}", "own"): _own(notes="x"),
    (f"PUT {ANNOTATION}", "anybody's"): _json(notes="x"),
    (f"DELETE {ANNOTATION}", "own"): Call(lambda stage, me: Ask(path={"annotation_id": stage.own[me]})),
    (f"DELETE {ANNOTATION}", "anybody's"): Call(lambda _stage, _me: Ask()),
    (f"POST {ANNOTATION}/confirm", "own"): _own(),
    (f"POST {ANNOTATION}/confirm", "anybody's"): _json(),
    (f"POST {ANNOTATION}/unconfirm", "own"): _own(),
    (f"POST {ANNOTATION}/unconfirm", "anybody's"): _json(),
    (f"POST {ANNOTATION}/restore", "own"): _own(revision=1),
    (f"POST {ANNOTATION}/restore", "anybody's"): _json(revision=1),
    (f"POST {A}/annotations/batch", ""): Call(
        lambda stage, _me: Ask(json={"annotations": [_box(stage)]}), lambda _stage, body: body["created"] == 1
    ),
    (f"POST {A}/annotations/bulk-confirm", "own"): Call(
        lambda stage, me: Ask(json={"annotation_ids": [stage.own[me]]}), lambda _stage, body: body["confirmed"] == 1
    ),
    (f"POST {A}/annotations/bulk-confirm", "anybody's"): Call(
        lambda stage, _me: Ask(json={"annotation_ids": [stage.annotation_id]}),
        lambda _stage, body: body["confirmed"] == 1,
    ),
    (f"POST {A}/annotations/import/project/{{project_id}}", ""): Call(
        lambda _stage, _me: Ask(params={"force": "true"}), arrange=_to_import
    ),
    (f"POST {LOCK}/acquire", ""): Call(lambda stage, _me: Ask(path={"image_id": stage.free_image_id}, json={})),
    (f"POST {LOCK}/heartbeat", ""): Call(lambda stage, _me: Ask(path={"image_id": stage.free_image_id}, json={})),
    (f"DELETE {LOCK}", ""): Call(lambda stage, _me: Ask(path={"image_id": stage.free_image_id})),
    (f"GET {LOCK}/status", ""): Call(lambda stage, _me: Ask(path={"image_id": stage.locked_image_id})),
    (f"DELETE {LOCK}/force", ""): Call(lambda stage, _me: Ask(path={"image_id": stage.locked_image_id})),
    (f"POST {PROJECT}/export", ""): Call(lambda stage, _me: Ask(json=_EXPORT | {"project_id": stage.project_id})),
    (f"POST {A}/export", ""): Call(lambda stage, _me: Ask(json=_EXPORT | {"project_id": stage.project_id})),
    (f"POST {PROJECT}/versions/publish", ""): _json(**_EXPORT),
    (f"POST {A}/invitations", "as an annotator"): Call(lambda stage, _me: _invite(stage, "annotator")),
    (f"POST {A}/invitations", "as an admin"): Call(lambda stage, _me: _invite(stage, "admin")),
    (f"POST {A}/invitations", "as the owner"): Call(lambda stage, _me: _invite(stage, "owner")),
    (f"GET {A}/invitations", "received, to oneself"): Call(
        lambda _stage, _me: Ask(params={"type": "received"}), _invitation_shown, _for_me
    ),
    (f"GET {A}/invitations", "received, to somebody else"): Call(
        lambda _stage, _me: Ask(params={"type": "received"}), _invitation_shown
    ),
    (f"GET {A}/invitations", "sent, by oneself"): Call(
        lambda _stage, _me: Ask(params={"type": "sent"}), _invitation_shown, _by_me
    ),
    (f"GET {A}/invitations", "sent, by somebody else"): Call(
        lambda _stage, _me: Ask(params={"type": "sent"}), _invitation_shown
    ),
    (f"POST {A}/invitations/accept", "to oneself"): Call(
        lambda stage, _me: Ask(json={"token": stage.token}), arrange=_for_me
    ),
    (f"POST {A}/invitations/accept", "to somebody else"): Call(lambda stage, _me: Ask(json={"token": stage.token})),
    (f"POST {A}/invitations/{{invitation_id}}/cancel", "to oneself"): Call(lambda _stage, _me: Ask(), arrange=_for_me),
    (f"POST {A}/invitations/{{invitation_id}}/cancel", "by oneself"): Call(lambda _stage, _me: Ask(), arrange=_by_me),
    (f"POST {A}/invitations/{{invitation_id}}/cancel", "of others"): Call(lambda _stage, _me: Ask()),
    ("GET /media/images/{dataset_id}/{image_id}", "a link of one's own"): Call(
        lambda _stage, _me: Ask(link="images"), arrange=_stored
    ),
    ("GET /media/thumbnails/{dataset_id}/{image_id}", "a link of one's own"): Call(
        lambda _stage, _me: Ask(link="thumbnails"), arrange=_stored
    ),
    ("GET /media/exports/{version_id}", "a link of one's own"): Call(
        lambda _stage, _me: Ask(link="exports"), arrange=_stored
    ),
    ("GET /media/exports/{project_id}/{task_type}/{export_id}/{file_name}", "a link of one's own"): Call(
        lambda _stage, _me: Ask(path=_EXPORTED, link="exports"), arrange=_stored
    ),
    (f"GET {A}/platform/organizations/{{organization_id}}", "one's own"): Call(
        lambda stage, _me: Ask(path={"organization_id": stage.organization_id})
    ),
    (f"GET {A}/platform/organizations/{{organization_id}}", "another"): Call(
        lambda _stage, _me: Ask(path={"organization_id": 2})
    ),
    (f"GET {A}/platform/workspaces", "of one's own organization"): Call(
        lambda stage, _me: Ask(params={"organization_id": stage.organization_id})
    ),
    (f"GET {A}/platform/workspaces", "of another organization"): Call(
        lambda _stage, _me: Ask(params={"organization_id": 2})
    ),
    ("GET /docs/assets/{path}", ""): Call(lambda _stage, _me: Ask(path={"path": "swagger-ui.css"})),
}


def _project(dataset_id: str) -> dict[str, Any]:
    return {"name": "New", "dataset_id": dataset_id, "task_types": [], "task_config": {}, "classes": {}}


def _invite(stage: Stage, role: str) -> Ask:
    # The deputy's invitation of the newcomer is pending: whoever comes second is told so, not asked for a role.
    return Ask(json={"project_id": stage.dataset_id, "invitee_user_id": IDS["leaver"], "role": role})


def call_of(call: str, case: str) -> Call:
    """The entry of a row; a path that says everything needs none."""
    return CALLS.get((call, case)) or Call(lambda _stage, _me: Ask())


def version_of(link: str) -> str:
    """What a signed link names as the version of its object."""
    return "v1.0" if link == "exports" else CONTENT_SHA256[:16]
