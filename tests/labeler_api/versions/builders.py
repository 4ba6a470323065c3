"""Annotations by SQL, and calls that the tests repeat."""

from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from tests.fixtures.api import USER_IDS, Api, Made

CLASSES = {
    "detection": {
        "c_dog": {"name": "dog", "color": "#00ff00", "order": 1},
        "c_cat": {"name": "cat", "color": "#ff0000", "order": 0},
    }
}
BOX = {"type": "bbox", "bbox": [10, 20.5, 30, 40], "image_width": 640, "image_height": 480}
RING = {"type": "polygon", "points": [[0, 0], [10, 0], [10, 5.5], [0, 5.5]], "image_width": 640, "image_height": 480}

_TASKS = {"polygon": "segmentation", "polyline": "geometry", "circle": "geometry", "classification": "classification"}


def annotation(
    image_id: str, kind: str = "bbox", geometry: dict[str, Any] | None = None, **columns: Any
) -> dict[str, Any]:
    """A row for `annotate`: a confirmed cat by the annotator, unless told otherwise."""
    row = {
        "image_id": image_id,
        "annotation_type": kind,
        "geometry": BOX if geometry is None else geometry,
        "task_type": _TASKS.get(kind, "detection"),
        "class_id": "c_cat",
        "class_name": "cat",
        "attributes": {},
        "annotation_state": "confirmed",
        "created_by": USER_IDS["annotator"],
        "confirmed_by": USER_IDS["reviewer"],
        "is_verified": False,
        "version": 1,
        "created_at": "2026-11-20T01:02:03+00:00",
        "updated_at": "2026-11-20T01:02:03+00:00",
    }
    return {**row, **columns}


async def annotate(api: Api, made: Made, *rows: dict[str, Any]) -> None:
    """Insert annotations in this order."""
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO annotations (project_id, image_id, annotation_type, geometry, task_type, class_id, class_name,"
            " attributes, annotation_state, created_by, confirmed_by, is_verified, version, created_at, updated_at)"
            " SELECT $1, image_id, annotation_type, geometry, task_type, class_id, class_name, attributes,"
            " annotation_state, created_by, confirmed_by, is_verified, version, created_at, updated_at"
            " FROM jsonb_populate_recordset(NULL::annotations, $2::jsonb) WITH ORDINALITY ORDER BY ordinality",
            made.project_id,
            msgspec.json.encode(rows).decode(),
        )


async def annotate_many(api: Api, made: Made, number: int) -> None:
    """Insert confirmed boxes, evenly over the images."""
    async with api.db.begin() as tx:
        await tx.execute(
            "INSERT INTO annotations (project_id, image_id, annotation_type, geometry, task_type, class_id, class_name,"
            " annotation_state, created_by, confirmed_by)"
            " SELECT $1, ($2::text[])[1 + n % cardinality($2::text[])], 'bbox', $3::jsonb, 'detection', 'c_cat', 'cat',"
            " 'confirmed', 4, 3 FROM generate_series(1, $4::int) n",
            made.project_id,
            made.image_ids,
            msgspec.json.encode(BOX).decode(),
            number,
        )


async def publish(client: httpx.AsyncClient, made: Made, **body: Any) -> httpx.Response:
    """Publish the detections as DICE, unless told otherwise."""
    return await client.post(
        f"/api/v1/projects/{made.project_id}/versions/publish",
        json={"task_type": "detection", "export_format": "dice", **body},
    )


async def published(client: httpx.AsyncClient, made: Made, **body: Any) -> dict[str, Any]:
    answer = await publish(client, made, **body)
    assert answer.status_code == 200, answer.text
    version: dict[str, Any] = answer.json()
    return version


async def export(client: httpx.AsyncClient, made: Made, **body: Any) -> httpx.Response:
    """Export the detections as DICE, unless told otherwise."""
    wanted = {"project_id": made.project_id, "task_type": "detection", "export_format": "dice", **body}
    return await client.post("/api/v1/export", json=wanted)


async def exported(client: httpx.AsyncClient, made: Made, **body: Any) -> dict[str, Any]:
    answer = await export(client, made, **body)
    assert answer.status_code == 200, answer.text
    file: dict[str, Any] = answer.json()
    return file


async def downloaded(api: Api, version: dict[str, Any]) -> httpx.Response:
    """Follow the link, without a token, as a browser does."""
    async with api.client() as browser:
        return await browser.get(version["download_url"])


async def stored_keys(api: Api, bucket: str, prefix: str) -> list[str]:
    return [info.key async for info in api.services.objects.list(bucket, prefix)]


def path_of(url: str) -> str:
    return urlsplit(url).path
