"""Datasets with rows of every kind and objects in both buckets, and a look at what is left of them."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import msgspec

from labeler_api.app import JOB_HANDLERS
from labeler_api.context import Services
from labeler_api.jobs import worker as jobs
from tests.fixtures.api import Api, Made
from tests.labeler_api.versions.builders import CLASSES, annotate, annotation, stored_keys

CHILDREN = {
    "annotations": "project_id",
    "annotation_history": "project_id",
    "image_annotation_status": "project_id",
    "image_locks": "project_id",
    "annotation_versions": "project_id",
    "project_permissions": "project_id",
    "annotation_tasks": "project_id",
    "comments": "project_id",
    "image_metadata": "dataset_id",
    "invitations": "dataset_id",
    "datasets": "id",
    "annotation_projects": "dataset_id",
}
"""Every table that holds rows of a dataset, and by which column."""


async def full_dataset(api: Api, images: int = 3, **given: Any) -> Made:
    """A dataset with rows in every table that belongs to it, and an object for every key."""
    made = await api.dataset(tasks=["detection", "classification"], images=images, classes=CLASSES, **given)
    await annotate(
        api,
        made,
        annotation(made.image_ids[0]),
        annotation(made.image_ids[0], annotation_state="draft", confirmed_by=None),
        annotation(made.image_ids[1], "classification", {"type": "classification"}),
    )
    async with api.db.begin() as tx:
        for sql in (
            "INSERT INTO annotation_history"
            " (annotation_id, project_id, image_id, action, new_state, changed_by, revision)"
            " SELECT id, project_id, image_id, 'create', to_jsonb(a), created_by, 1"
            " FROM annotations a WHERE project_id = $1",
            "INSERT INTO image_annotation_status (project_id, image_id, task_type, status)"
            " SELECT DISTINCT project_id, image_id, task_type, 'in-progress' FROM annotations WHERE project_id = $1",
            "INSERT INTO image_locks (project_id, image_id, user_id, expires_at)"
            " SELECT DISTINCT project_id, image_id, 4, now() + interval '5 min' FROM annotations WHERE project_id = $1",
            "INSERT INTO annotation_versions (project_id, task_type, version_number, version_type, created_by,"
            " export_path, file_size_bytes) SELECT id, 'detection', 'v1.0', 'published', 2,"
            " 'exports/' || id || '/detection/v1.0/annotations.json', 7 FROM annotation_projects WHERE id = $1",
            "INSERT INTO annotation_snapshots (version_id, annotation_id, snapshot_data)"
            " SELECT v.id, a.id, to_jsonb(a) FROM annotations a JOIN annotation_versions v USING (project_id)"
            " WHERE project_id = $1",
            "INSERT INTO invitations"
            " (token, dataset_id, inviter_id, invitee_id, invitee_email, role, status, expires_at)"
            " SELECT 'token of ' || id, dataset_id, 2, 6, 'stranger@example.com', 'viewer', 'pending',"
            " now() + interval '7 d' FROM annotation_projects WHERE id = $1",
            "UPDATE annotation_projects SET total_annotations = 3, annotated_images = 2 WHERE id = $1",
        ):
            await tx.execute(sql, made.project_id)
    await put_objects(api, made)
    return made


async def put_objects(api: Api, made: Made) -> None:
    """An object for every image, thumbnail, published file, and one version's export."""
    folder = f"datasets/{made.dataset_id}"
    keys = [f"{folder}/{kind}/{image}.jpg" for kind in ("images", "thumbnails") for image in made.image_ids]
    keys.append(f"{folder}/annotations_detection.json")
    await asyncio.gather(*(api.services.objects.put("datasets", key, b"0123456789", "image/jpeg") for key in keys))
    export = f"exports/{made.project_id}/detection/v1.0/annotations.json"
    await api.services.objects.put("annotations", export, b"{dice}\n", "application/json")


async def left(api: Api, made: Made) -> dict[str, int]:
    """How many rows of each table are left; tables without any are not listed."""
    async with api.db.read() as connection:
        counts = {
            table: await connection.fetchval(
                f"SELECT count(*) FROM {table} WHERE {column} = $1",
                made.project_id if column == "project_id" else made.dataset_id,
            )
            for table, column in CHILDREN.items()
        }
    return {table: number for table, number in counts.items() if number}


async def objects_of(api: Api, made: Made) -> list[str]:
    """The keys of a dataset and its project in both buckets."""
    return await stored_keys(api, "datasets", f"datasets/{made.dataset_id}/") + await stored_keys(
        api, "annotations", f"exports/{made.project_id}/"
    )


async def delete(client: httpx.AsyncClient, made: Made, name: str | None = None, **body: Any) -> httpx.Response:
    """Delete a dataset, with its name unless another one is given."""
    confirmation = f"Dataset {int(made.dataset_id.removeprefix('ds_'), 16)}" if name is None else name
    return await client.request(
        "DELETE",
        f"/api/v1/datasets/{made.dataset_id}",
        json={"dataset_name_confirmation": confirmation, **body},
        timeout=60,
    )


@asynccontextmanager
async def workers(api: Api, number: int = 1) -> AsyncIterator[None]:
    """Work on the queue while the block lasts; a dead worker's job is taken over after a second."""
    services: Services = replace(
        api.services, settings=msgspec.structs.replace(api.services.settings, jobs_lease_seconds=1.0)
    )
    if number == 0:
        yield
        return
    async with jobs.working(services, services.settings.labeler_db_url, JOB_HANDLERS), workers(api, number - 1):
        yield


async def done(api: Api, seconds: float = 30) -> None:
    """Until no job is due."""
    async with asyncio.timeout(seconds):
        while await due(api):  # noqa: ASYNC110 - PostgreSQL has no event to wait for
            await asyncio.sleep(0.02)


async def due(api: Api) -> int:
    """How many jobs are due or under way."""
    async with api.db.read() as connection:
        number: int = await connection.fetchval(
            "SELECT count(*) FROM pgqueuer WHERE status = 'picked' OR execute_after <= now()"
        )
    return number


async def purge_now(api: Api) -> None:
    """Let the later passes be due."""
    async with api.db.begin() as tx:
        await tx.execute("UPDATE pgqueuer SET execute_after = now() WHERE status = 'queued'")


async def read_lines(api: Api, key: str) -> list[dict[str, Any]]:
    """Read the rows of a backup."""
    async with api.services.objects.open("datasets", key) as stream:
        packed = await stream.read()
    return [msgspec.json.decode(line) for line in gzip.decompress(packed).splitlines()]


def tables_of(lines: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Count the lines of each table."""
    counts: dict[str, int] = {}
    for line in lines:
        if "table" in line:
            counts[line["table"]] = counts.get(line["table"], 0) + 1
    return counts
