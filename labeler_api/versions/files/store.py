"""SQL that publishing and exporting share: which annotations, with what of their images, and what a file says once."""

from collections.abc import Sequence

from labeler_api.db.long_lists import json_text
from labeler_api.db.pool import ReadConnection

# Fragments. $1 is the project, $2 its dataset, $3 the stored names of
# the task, $4 whether drafts count.
# A missing size is taken from the first geometry of the image that has one.
SIZES = """
    sizes AS (
        SELECT DISTINCT ON (b.image_id) b.image_id, round((b.geometry ->> 'image_width')::numeric)::int AS width,
               round((b.geometry ->> 'image_height')::numeric)::int AS height
        FROM annotations b LEFT JOIN image_metadata i ON i.dataset_id = $2 AND i.id = b.image_id
        WHERE b.project_id = $1 AND (i.width IS NULL OR i.height IS NULL)
            AND b.geometry @@ '$.image_width > 0 && $.image_height > 0'
            AND b.geometry @@ '$.image_width < 1000000 && $.image_height < 1000000'
        ORDER BY b.image_id, b.id
    )
"""
IMAGE = """jsonb_build_object(
    'file_name', CASE WHEN i.id IS NULL THEN a.image_id
                      ELSE concat_ws('/', NULLIF(i.folder_path, ''), i.file_name) END,
    'width', COALESCE(i.width, g.width, 0),
    'height', COALESCE(i.height, g.height, 0),
    'confirmed_at', s.confirmed_at)
"""
CHOSEN = """
    FROM annotations a
    LEFT JOIN image_metadata i ON i.dataset_id = $2 AND i.id = a.image_id
    LEFT JOIN sizes g ON g.image_id = a.image_id
    LEFT JOIN image_annotation_status s
        ON s.project_id = a.project_id AND s.image_id = a.image_id AND s.task_type = a.task_type
        AND s.is_image_confirmed
    WHERE a.project_id = $1 AND a.task_type = ANY ($3::varchar[]) AND ($4 OR a.annotation_state <> 'draft')
"""


def summary(task_type: str) -> str:
    """SQL of what a file says once, from the rows `chosen`; `task_type` is the parameter of that meaning."""
    return f"""
    SELECT (SELECT count(*) FROM chosen) AS annotation_count,
           (SELECT count(DISTINCT image_id) FROM chosen) AS image_count,
           (SELECT COALESCE(array_agg(user_id), '{{}}') FROM (
                SELECT created_by AS user_id FROM chosen
                UNION SELECT confirmed_by FROM chosen WHERE confirmed_by IS NOT NULL
            ) AS people) AS user_ids,
           (SELECT COALESCE(json_agg(json_build_array(class_id, class_name)), '[]')::text FROM (
                SELECT class_id, min(class_name) AS class_name FROM chosen
                WHERE annotation_type <> 'no_object' GROUP BY class_id
            ) AS classes) AS used_classes,
           COALESCE(p.task_classes -> {task_type}::text, '{{}}')::text AS listed_classes,
           p.task_types, p.name AS project_name, p.description AS project_description,
           p.created_at AS project_created_at, d.name AS dataset_name
    FROM annotation_projects p JOIN datasets d ON d.id = p.dataset_id
    WHERE p.id = $1 AND d.id = $2
    """  # noqa: S608 - the name of a parameter


_UNKNOWN_IMAGES = """
    SELECT wanted.id FROM jsonb_array_elements_text($2::text::jsonb) WITH ORDINALITY AS wanted (id, place)
    WHERE NOT EXISTS (SELECT FROM image_metadata i WHERE i.dataset_id = $1 AND i.id = wanted.id)
    ORDER BY wanted.place LIMIT $3
"""

_PROJECT_NAME = "SELECT name FROM annotation_projects WHERE id = $1"

_FIRST_TASK = "SELECT task_types[1] AS task_type FROM annotation_projects WHERE id = $1"


async def unknown_images(
    connection: ReadConnection, dataset_id: str, image_ids: Sequence[str], limit: int
) -> list[str]:
    """Return those that are no images of the dataset, up to a limit."""
    rows = await connection.fetch(_UNKNOWN_IMAGES, dataset_id, json_text(image_ids), limit)
    return [row["id"] for row in rows]


async def first_task(connection: ReadConnection, project_id: str) -> str | None:
    """Return the first of a project's tasks, if it has one."""
    task_type: str | None = await connection.fetchval(_FIRST_TASK, project_id)
    return task_type


async def project_name(connection: ReadConnection, project_id: str) -> str | None:
    """Return a project's name; None when there is no such project."""
    name: str | None = await connection.fetchval(_PROJECT_NAME, project_id)
    return name
