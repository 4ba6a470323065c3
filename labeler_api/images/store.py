"""SQL of images: reading."""

from datetime import datetime

from labeler_api.db.pool import ReadConnection, Row
from labeler_api.projects.changes import COUNTED, WAITING

_COLUMNS = """
    dataset_id, id, file_name, s3_key, folder_path, size, width, height, last_modified, uploaded_at,
    content_sha256, content_type, thumbnail_key, rendition_key
"""

_PAGE = f"""
    SELECT {_COLUMNS} FROM image_metadata
    WHERE dataset_id = $1
    ORDER BY uploaded_at, id LIMIT $2 OFFSET $3
"""  # noqa: S608 - a constant

_AFTER = f"""
    SELECT {_COLUMNS} FROM image_metadata
    WHERE dataset_id = $1 AND (uploaded_at, id) > ($3, $4)
    ORDER BY uploaded_at, id LIMIT $2
"""  # noqa: S608 - a constant

# About twenty times as many as are wanted are drawn, then shuffled: sorting all of 200 000 takes twice as long.
_RANDOM = f"""
    SELECT {_COLUMNS} FROM image_metadata
    WHERE dataset_id = $1 AND id IN (
        SELECT id FROM image_metadata
        WHERE dataset_id = $1
          AND random() < (SELECT 20.0 * $2::int / GREATEST(num_images, 1) FROM datasets WHERE id = $1)
        ORDER BY random() LIMIT $2::int
    )
    ORDER BY random()
"""  # noqa: S608 - a constant

_COUNT = "SELECT count(*) FROM image_metadata WHERE dataset_id = $1"

_FIND = f"SELECT {_COLUMNS} FROM image_metadata WHERE dataset_id = $1 AND id = $2"  # noqa: S608 - a constant

# Of one id, the latest deletions: nobody deletes and uploads the same path a hundred times within a month.
_FIND_DELETED = """
    SELECT i.dataset_id, i.id, i.file_name, i.s3_key, i.folder_path, i.size, i.width, i.height, i.last_modified,
           i.uploaded_at, i.content_sha256, i.content_type, i.thumbnail_key, i.rendition_key
    FROM deleted_images d CROSS JOIN LATERAL jsonb_populate_record(NULL::image_metadata, d.image) i
    WHERE d.dataset_id = $1 AND d.image_id = $2
    ORDER BY d.id DESC LIMIT 100
"""

_SUMMARY = f"""
    SELECT d.name, p.id AS project_id, p.task_types,
           COALESCE({COUNTED["annotated_images"]}, 0) AS annotated_images,
           COALESCE({COUNTED["total_annotations"]}, 0) AS total_annotations,
           GREATEST(d.updated_at, {COUNTED["updated_at"]}) AS updated_at, i.total_images, i.total_bytes
    FROM datasets d
    LEFT JOIN annotation_projects p ON p.dataset_id = d.id
    {WAITING}
    CROSS JOIN LATERAL (
        SELECT count(*) AS total_images, COALESCE(sum(size), 0)::bigint AS total_bytes
        FROM image_metadata WHERE dataset_id = d.id
    ) i
    WHERE d.id = $1
"""  # noqa: S608 - constants

# Six tasks exist; a `no_object` may name any other.
_PROGRESS = """
    SELECT task_type,
           count(*) FILTER (WHERE status = 'in-progress') AS in_progress,
           count(*) FILTER (WHERE status = 'completed') AS completed
    FROM image_annotation_status WHERE project_id = $1 GROUP BY task_type ORDER BY task_type LIMIT 1000
"""


async def page(connection: ReadConnection, dataset_id: str, limit: int, offset: int) -> list[Row]:
    """Return images by the time of their upload."""
    return await connection.fetch(_PAGE, dataset_id, limit, offset)


async def page_after(
    connection: ReadConnection, dataset_id: str, limit: int, uploaded_at: datetime, image_id: str
) -> list[Row]:
    """Return the images that follow a position of the same order."""
    return await connection.fetch(_AFTER, dataset_id, limit, uploaded_at, image_id)


async def sample(connection: ReadConnection, dataset_id: str, limit: int) -> list[Row]:
    """Return images at random."""
    return await connection.fetch(_RANDOM, dataset_id, limit)


async def count(connection: ReadConnection, dataset_id: str) -> int:
    """Count the images of a dataset."""
    number: int = await connection.fetchval(_COUNT, dataset_id)
    return number


async def find(connection: ReadConnection, dataset_id: str, image_id: str) -> Row | None:
    """Find one image."""
    return await connection.fetchrow(_FIND, dataset_id, image_id)


async def find_deleted(connection: ReadConnection, dataset_id: str, image_id: str) -> list[Row]:
    """Find the images of an id that were deleted and are kept, the latest deletion first."""
    return await connection.fetch(_FIND_DELETED, dataset_id, image_id)


async def summary(connection: ReadConnection, dataset_id: str) -> Row | None:
    """Count what a dataset holds."""
    return await connection.fetchrow(_SUMMARY, dataset_id)


async def progress(connection: ReadConnection, project_id: str) -> list[Row]:
    """Count the images of each task by their state; images without a state are not counted."""
    return await connection.fetch(_PROGRESS, project_id)
