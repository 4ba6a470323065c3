"""Projects for the lists of statuses: images with one annotation and with a hundred, and ten thousand that were begun.

A list should cost the same for all of the first four: for 1 and 100 annotations an image, with statistics that
PostgreSQL gathered since and with those of the time before.
"""

import asyncpg
import httpx

from benchmarks.calls import Ask

_DENSE_IMAGES = 500
_MANY_IMAGES = 10_200  # a page of 200, and as many behind it as there may be

_IMAGES = """
    INSERT INTO image_metadata (dataset_id, id, file_name, s3_key, size)
    SELECT $1::text, 'train/good/' || to_char(n, 'FM000000'), n || '.jpg', $1::text || n, 1
    FROM generate_series(1, $2::int) n
"""
_ANNOTATIONS = """
    INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, created_by)
    SELECT $1, i.id, 'bbox', 'detection', '{"type": "bbox", "bbox": [1, 2, 3, 4]}', 2
    FROM image_metadata i, generate_series(1, $3::int) WHERE i.dataset_id = $2
"""
_STATUSES = """
    INSERT INTO image_annotation_status (
        project_id, image_id, task_type, status, first_modified_at, last_modified_at, total_annotations,
        draft_annotations, no_object_annotations, counted_total, counted_modified_at)
    SELECT project_id, image_id, task_type, 'in-progress', min(created_at), max(updated_at), count(*), count(*), 0,
           count(*), max(updated_at)
    FROM annotations WHERE project_id = $1 GROUP BY project_id, image_id, task_type
"""


async def status_asks(dsn: str, api: httpx.AsyncClient) -> list[Ask]:
    """Fill the projects, and return the calls."""
    connection = await asyncpg.connect(dsn)
    try:
        few, dense = [await _filled(connection, api, _DENSE_IMAGES, number) for number in (1, 100)]
        many = await _filled(connection, api, _MANY_IMAGES, 1)
        await connection.execute("ANALYZE")
        few_since, dense_since = [await _filled(connection, api, _DENSE_IMAGES, number) for number in (1, 100)]
    finally:
        await connection.close()
    everything = _url(many, 200)
    tag = (await api.get(everything)).raise_for_status().headers["ETag"]
    return [
        Ask("statuses, 1 an image", "GET", [_url(few, 50)]),
        Ask("statuses, 100 an image", "GET", [_url(dense, 50)]),
        Ask("statuses, 1, before ANALYZE", "GET", [_url(few_since, 50)]),
        Ask("statuses, 100, before ANALYZE", "GET", [_url(dense_since, 50)]),
        Ask("statuses, 10 200", "GET", [everything]),
        Ask("statuses, 10 200, unchanged", "GET", [everything], headers={"If-None-Match": tag}, status=304),
    ]


def _url(project: str, limit: int) -> str:
    return f"/api/v1/projects/{project}/images/status?task_type=detection&limit={limit}&offset=0"


async def _filled(connection: asyncpg.Connection, api: httpx.AsyncClient, images: int, annotations: int) -> str:
    """Make a project with so many annotations on each of so many images; return its id."""
    made = await api.post("/api/v1/datasets", json={"name": f"Statuses {images}", "task_types": ["detection"]})
    dataset = made.raise_for_status().json()["id"]
    project: str = (await api.get(f"/api/v1/datasets/{dataset}/project")).raise_for_status().json()["id"]
    await connection.execute(_IMAGES, dataset, images)
    await connection.execute("UPDATE datasets SET num_images = $2 WHERE id = $1", dataset, images)
    await connection.execute(_ANNOTATIONS, project, dataset, annotations)
    await connection.execute(_STATUSES, project)
    return project
