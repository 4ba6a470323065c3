"""What the annotation screen sends, and what the database then holds."""

from collections.abc import Callable
from typing import Any

import httpx
import msgspec

from labeler_api.projects.waiting_counters import COUNTED, WAITING
from tests.fixtures.api import Api, Made

Draw = Callable[[Made, int], dict[str, Any]]
MEMBERS = {"admin": "admin", "reviewer": "reviewer", "annotator": "annotator", "viewer": "viewer"}
TASKS = ["detection", "segmentation"]
BOX = {"type": "bbox", "bbox": [10.25, 20, 30, 40.5], "image_width": 640, "image_height": 480}
POLYGON = {"type": "polygon", "points": [[1, 1], [100.5, 1], [50, 80]], "image_width": 640, "image_height": 480}


async def workshop(api: Api, images: int = 3, visibility: str = "private") -> Made:
    """A project with a member of each role."""
    return await api.dataset(images=images, tasks=TASKS, members=MEMBERS, visibility=visibility)


def box(made: Made, image: int = 0, **changed: Any) -> dict[str, Any]:
    """The body of a POST for a box on one of the images."""
    return {
        "project_id": made.project_id,
        "image_id": made.image_ids[image],
        "annotation_type": "bbox",
        "geometry": BOX,
        "class_id": "c1",
        "class_name": "scratch",
    } | changed


def polygon(made: Made, image: int = 0, **changed: Any) -> dict[str, Any]:
    """The body of a POST for a polygon."""
    return box(made, image, annotation_type="polygon", geometry=POLYGON) | changed


def no_object(made: Made, image: int = 0, task: str = "detection") -> dict[str, Any]:
    """The body of a POST that says: nothing of this task is on the image."""
    return box(
        made,
        image,
        annotation_type="no_object",
        geometry={"type": "no_object"},
        class_id=None,
        class_name="__background__",
        attributes={"task_type": task},
    )


async def drawn(client: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    """Create an annotation that is expected to be accepted."""
    response = await client.post("/api/v1/annotations", json=body)
    assert response.status_code == 200, response.text
    created: dict[str, Any] = response.json()
    return created


def at(annotation: dict[str, Any], action: str = "") -> str:
    return f"/api/v1/annotations/{annotation['id']}{action}"


async def rows(api: Api, sql: str, *args: object) -> list[dict[str, Any]]:
    async with api.db.read() as connection:
        return [dict(row) for row in await connection.fetch(sql, *args)]


async def history(api: Api, annotation_id: int) -> list[dict[str, Any]]:
    """The revisions of an annotation, the first one first, states decoded."""
    found = await rows(
        api,
        "SELECT action, previous_state, new_state, changed_by, revision, image_id, project_id"
        " FROM annotation_history WHERE annotation_id = $1 ORDER BY id",
        annotation_id,
    )
    for row in found:
        for key in ("previous_state", "new_state"):
            row[key] = msgspec.json.decode(row[key]) if row[key] is not None else None
    return found


async def locks(api: Api, made: Made) -> dict[str, tuple[int, int]]:
    """Live locks: image id to (user, seconds that it lives from its last use)."""
    found = await rows(
        api,
        "SELECT image_id, user_id, extract(epoch FROM expires_at - heartbeat_at)::int AS seconds FROM image_locks"
        " WHERE project_id = $1 AND expires_at > clock_timestamp()",
        made.project_id,
    )
    return {row["image_id"]: (row["user_id"], row["seconds"]) for row in found}


async def hold(api: Api, made: Made, account: str, image: int = 0) -> None:
    """Open an image, as its page in the screen does."""
    client = await api.login(account)
    response = await client.post(f"/api/v1/image-locks/{made.project_id}/{made.image_ids[image]}/acquire", json={})
    assert response.json()["status"] in {"acquired", "refreshed"}


COUNTERS = ", ".join(f"{COUNTED[name]} AS {name}" for name in ("total_annotations", "annotated_images"))
"""The counters of a project `p` that was joined with WAITING."""


async def leave(api: Api, made: Made, account: str, image: int = 0) -> None:
    """Leave an image, and with it the short lock that a write took."""
    client = await api.login(account)
    await client.delete(f"/api/v1/image-locks/{made.project_id}/{made.image_ids[image]}")


async def check_counters(api: Api, made: Made) -> None:
    """The project's counters and status rows say what a count says."""
    (stored,) = await rows(
        api, f"SELECT {COUNTERS} FROM annotation_projects p {WAITING} WHERE id = $1", made.project_id
    )
    (counted,) = await rows(
        api,
        "SELECT count(*)::int AS total_annotations, count(DISTINCT image_id)::int AS annotated_images"
        " FROM annotations WHERE project_id = $1",
        made.project_id,
    )
    assert stored == counted
    select = "SELECT image_id, task_type, {} FROM {} WHERE project_id = $1 {} ORDER BY image_id, task_type"
    statuses = await rows(
        api,
        select.format(
            "total_annotations AS total, confirmed_annotations AS confirmed, draft_annotations AS drafts,"
            " first_modified_at AS first, last_modified_at AS last, no_object_annotations AS no_objects,"
            " counted_total, counted_modified_at",
            "image_annotation_status",
            "",
        ),
        made.project_id,
    )
    expected = await rows(
        api,
        select.format(
            "count(*)::int AS total, (count(*) FILTER (WHERE annotation_state = 'confirmed'))::int AS confirmed,"
            " (count(*) FILTER (WHERE annotation_state = 'draft'))::int AS drafts,"
            " min(created_at) AS first, max(updated_at) AS last,"
            " (count(*) FILTER (WHERE annotation_type = 'no_object'))::int AS no_objects,"
            " count(*)::int AS counted_total, max(updated_at) AS counted_modified_at",
            "annotations",
            "GROUP BY image_id, task_type",
        ),
        made.project_id,
    )
    assert statuses == expected
