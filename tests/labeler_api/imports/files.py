"""Annotation files as other tools write them, and the calls that import them."""

import io
import secrets
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import msgspec

from tests.fixtures.api import Api, Made

CATEGORIES = [{"id": 1, "name": "scratch", "supercategory": "object"}, {"id": 7, "name": "dent", "color": "#123456"}]


def coco(
    annotations: Sequence[Mapping[str, Any]],
    images: Sequence[str] = ("train/good/0000.jpg",),
    categories: Sequence[Mapping[str, Any]] = CATEGORIES,
    **members: Any,
) -> bytes:
    """A COCO file; image ids count from 1, annotations are boxes of class 1 on image 1 unless told otherwise."""
    return msgspec.json.encode(
        {
            "info": {"year": 2026},
            "licenses": [],
            "images": [
                {"id": number, "file_name": name, "width": 640, "height": 480}
                for number, name in enumerate(images, start=1)
            ],
            "annotations": [
                {"id": number, "image_id": 1, "category_id": 1, **annotation}
                for number, annotation in enumerate(annotations, start=1)
            ],
            "categories": list(categories),
            **members,
        }
    )


def boxes(*images: int) -> list[dict[str, Any]]:
    """A box on each of these images of a file, no two alike."""
    return [{"image_id": image, "bbox": [10 + n, 20, 30, 40]} for n, image in enumerate(images)]


def dice(images: Sequence[Mapping[str, Any]], task: str = "object_detection", **members: Any) -> bytes:
    """A DICE file with the classes 0 scratch and 1 dent."""
    return msgspec.json.encode(
        {
            "format_version": "1.0",
            "task_type": task,
            "classes": [
                {"id": 0, "name": "scratch", "color": "#ff0000", "supercategory": "object"},
                {"id": 1, "name": "dent", "color": "#00ff00", "supercategory": "damage"},
            ],
            "images": list(images),
            **members,
        }
    )


def packed(members: Mapping[str, str | bytes]) -> bytes:
    """A ZIP of these members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


async def stored(api: Api, made: Made, content: bytes) -> str:
    """Make a file the dataset's annotation file, as an import or a publication does."""
    key = f"datasets/{made.dataset_id}/imports/{secrets.token_hex(8)}"
    await api.services.objects.put("datasets", key, content, "application/octet-stream")
    async with api.db.begin() as tx:
        await tx.execute("UPDATE datasets SET annotation_path = $2 WHERE id = $1", made.dataset_id, key)
    return key


async def imported(client: httpx.AsyncClient, made: Made | str, **query: Any) -> httpx.Response:
    where = made if isinstance(made, str) else made.project_id
    return await client.post(f"/api/v1/annotations/import/project/{where}", params=query, timeout=120)


async def take(api: Api, made: Made, content: bytes, **query: Any) -> dict[str, Any]:
    """Import a file that is expected to be taken."""
    await stored(api, made, content)
    answer = await imported(await api.login("owner"), made, **query)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def refused(api: Api, made: Made, content: bytes) -> dict[str, Any]:
    """Import a file that is expected to be refused; nothing of it is there afterwards."""
    before = await everything(api, made)
    await stored(api, made, content)
    answer = await imported(await api.login("owner"), made)
    assert answer.status_code == 422, answer.text
    assert await everything(api, made) == before
    body: dict[str, Any] = answer.json()
    return body


async def rows(api: Api, sql: str, *args: object) -> list[dict[str, Any]]:
    async with api.db.read() as connection:
        return [dict(row) for row in await connection.fetch(sql, *args)]


async def annotations(api: Api, made: Made) -> list[dict[str, Any]]:
    """The annotations of a project by id, JSON decoded."""
    found = await rows(
        api,
        "SELECT id, image_id, annotation_type, task_type, geometry::text, class_id, class_name, attributes::text,"
        " annotation_state, created_by, confirmed_by, confirmed_at, version"
        " FROM annotations WHERE project_id = $1 ORDER BY id",
        made.project_id,
    )
    for row in found:
        row["geometry"] = msgspec.json.decode(row["geometry"])
        row["attributes"] = msgspec.json.decode(row["attributes"])
    return found


async def project(api: Api, made: Made) -> dict[str, Any]:
    """The project's row, JSON decoded."""
    (row,) = await rows(
        api,
        "SELECT task_types, task_classes::text, task_config::text, revision, total_annotations, annotated_images,"
        " last_updated_by FROM annotation_projects WHERE id = $1",
        made.project_id,
    )
    for name in ("task_classes", "task_config"):
        row[name] = msgspec.json.decode(row[name])
    return row


async def everything(api: Api, made: Made) -> list[list[dict[str, Any]]]:
    """What an import may change, the locks included."""
    tables = ("annotations", "annotation_history", "image_annotation_status", "image_locks")
    found = [
        await rows(
            api, f"SELECT to_jsonb(t)::text AS row FROM {table} t WHERE project_id = $1 ORDER BY id", made.project_id
        )
        for table in tables
    ]
    return [*found, [await project(api, made)]]
