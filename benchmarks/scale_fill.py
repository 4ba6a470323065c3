"""The rows of `benchmarks.scale`, made by the database itself: one large project, and many small ones beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx

from benchmarks.people import Person

_SMALL_PART = 5000  # a small project has so much less than the large one, and at least one of each

# Dataset, project and owner of the small ones. Their names differ as those of the API do: by their ids.
_PROJECTS = (
    """
    INSERT INTO datasets (id, name, owner_id, storage_path, num_images)
    SELECT 'ds_small_' || n, 'Small ' || n, $1, 'datasets/ds_small_' || n || '/', 0 FROM generate_series(1, $2::int) n
    """,
    """
    INSERT INTO annotation_projects (id, name, dataset_id, owner_id, task_types, task_classes)
    SELECT 'proj_small_' || n, 'Small ' || n, 'ds_small_' || n, $1, ARRAY['detection'],
           '{"detection": {"c1": {"name": "crack", "color": "#e6194b"}}}'
    FROM generate_series(1, $2::int) n
    """,
    """
    INSERT INTO project_permissions (project_id, user_id, role, granted_by)
    SELECT 'proj_small_' || n, $1, 'owner', $1 FROM generate_series(1, $2::int) n
    """,
)
_IMAGES = """
    INSERT INTO image_metadata (dataset_id, id, file_name, s3_key, folder_path, size, width, height, content_sha256,
        content_type, thumbnail_key, uploaded_at)
    SELECT d, 'train/' || n, n || '.jpg', 'datasets/' || d || '/images/train/' || n || '.jpg', 'train', 200000, 640, 480,
        md5(n::text) || md5(n::text), 'image/jpeg', 'datasets/' || d || '/thumbnails/train/' || n || '.jpg',
        now() - interval '1 day' + n * interval '1 millisecond'
    FROM unnest($1::text[]) d, generate_series(1, $2::int) n
"""
_ANNOTATIONS = """
    INSERT INTO annotations (project_id, image_id, annotation_type, task_type, geometry, class_id, class_name, created_by,
        annotation_state)
    SELECT p, 'train/' || (1 + n % $2::int), 'bbox', 'detection',
        jsonb_build_object('type', 'bbox', 'bbox', jsonb_build_array(n % 500 + 0.25, n % 300 + 0.5, 100, 50.75),
                           'image_width', 640, 'image_height', 480),
        'c1', 'crack', $3, CASE WHEN n % 3 = 0 THEN 'confirmed' ELSE 'draft' END
    FROM unnest($1::text[]) p, generate_series(1, $4::int) n
"""
_STATUSES = """
    INSERT INTO image_annotation_status (project_id, image_id, task_type, status, first_modified_at, last_modified_at,
        total_annotations, confirmed_annotations, draft_annotations, is_image_confirmed, no_object_annotations,
        counted_total, counted_modified_at)
    SELECT project_id, image_id, task_type, 'in-progress', min(created_at), max(updated_at), count(*),
        count(*) FILTER (WHERE annotation_state = 'confirmed'), count(*) FILTER (WHERE annotation_state = 'draft'),
        false, 0, count(*), max(updated_at)
    FROM annotations WHERE project_id = ANY($1::text[]) GROUP BY project_id, image_id, task_type
"""
_COUNTERS = (
    """
    UPDATE annotation_projects p SET total_annotations = s.annotations, annotated_images = s.images, total_images = s.images
    FROM (SELECT project_id, sum(total_annotations) AS annotations, count(*) AS images FROM image_annotation_status
          GROUP BY project_id) s
    WHERE s.project_id = p.id
    """,
    """
    UPDATE datasets d SET num_images = i.images FROM (
        SELECT dataset_id, count(*) AS images FROM image_metadata GROUP BY dataset_id
    ) i WHERE i.dataset_id = d.id
    """,
)


@dataclass(frozen=True)
class Amount:
    """How many rows: of annotations and images in the large project, and projects in all."""

    annotations: int
    images: int
    projects: int


@dataclass(frozen=True)
class Filled:
    """The large project, and the datasets and projects of the small ones."""

    dataset: str
    project: str
    small_datasets: list[str]


async def fill(dsn: str, api: httpx.AsyncClient, owner: Person, amount: Amount) -> Filled:
    """Make them all, and leave the database as one that has been in use."""
    body: Mapping[str, Any] = {"name": "Benchmark of scale", "task_types": ["detection"]}
    made = (await api.post("/api/v1/datasets", json=body, headers=owner.headers)).raise_for_status().json()["id"]
    project = await api.get(f"/api/v1/datasets/{made}/project", headers=owner.headers)
    filled = Filled(made, project.raise_for_status().json()["id"], [f"ds_small_{n}" for n in range(1, amount.projects)])
    connection = await asyncpg.connect(dsn)
    try:
        for statement in _PROJECTS:
            await connection.execute(statement, owner.user_id, amount.projects - 1)
        small = [name.replace("ds_", "proj_") for name in filled.small_datasets]
        images, annotations = (max(1, number // _SMALL_PART) for number in (amount.images, amount.annotations))
        for datasets, projects, few_images, few in (
            ([made], [filled.project], amount.images, amount.annotations),
            (filled.small_datasets, small, images, annotations),
        ):
            await connection.execute(_IMAGES, datasets, few_images, timeout=None)
            await connection.execute(_ANNOTATIONS, projects, few_images, owner.user_id, few, timeout=None)
        await connection.execute(_STATUSES, [filled.project, *small], timeout=None)
        for statement in (*_COUNTERS, "VACUUM (ANALYZE)"):
            await connection.execute(statement, timeout=None)
    finally:
        await connection.close()
    return filled
