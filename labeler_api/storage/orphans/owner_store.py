"""SQL of the sweep: which of the objects that the store has belong to something."""

from collections.abc import Sequence

from labeler_api.db.pool import ReadConnection

# Besides the dataset itself: one that lies in its folder, and an image of another one that does, which legacy data may
# have. The two statements that read every image are only for what would be removed otherwise, so they are rare.
_FOLDER_IN_USE = """
    SELECT EXISTS (SELECT FROM datasets WHERE id = $1::varchar)
        OR EXISTS (SELECT FROM datasets WHERE starts_with(storage_path, 'datasets/' || $1 || '/'))
        OR EXISTS (SELECT FROM image_metadata WHERE starts_with(s3_key, 'datasets/' || $1 || '/'))
        OR EXISTS (SELECT FROM deleted_images WHERE starts_with(s3_key, 'datasets/' || $1 || '/'))
"""

_HELD = """
    SELECT s3_key AS key FROM image_metadata WHERE dataset_id = $1 AND s3_key = ANY ($2::text[])
    UNION ALL
    SELECT thumbnail_key FROM image_metadata WHERE dataset_id = $1 AND thumbnail_key = ANY ($2::text[])
    UNION ALL
    SELECT rendition_key FROM image_metadata WHERE dataset_id = $1 AND rendition_key = ANY ($2::text[])
"""

# What waits for its removal is no orphan: it goes in its time (labeler_api.images.removal). Nor is what belongs to an
# image that was deleted and can be brought back.
_HELD_ANYWHERE = """
    SELECT s3_key AS key FROM image_metadata WHERE s3_key = ANY ($1::text[])
    UNION ALL
    SELECT thumbnail_key FROM image_metadata WHERE thumbnail_key = ANY ($1::text[])
    UNION ALL
    SELECT rendition_key FROM image_metadata WHERE rendition_key = ANY ($1::text[])
    UNION ALL
    SELECT s3_key FROM deleted_images WHERE s3_key = ANY ($1::text[])
    UNION ALL
    SELECT thumbnail_key FROM deleted_images WHERE thumbnail_key = ANY ($1::text[])
    UNION ALL
    SELECT rendition_key FROM deleted_images WHERE rendition_key = ANY ($1::text[])
    UNION ALL
    SELECT waiting.key
    FROM pgqueuer q, jsonb_array_elements_text(convert_from(q.payload, 'UTF8')::jsonb -> 'keys') AS waiting (key)
    WHERE q.entrypoint = 'images.removal' AND waiting.key = ANY ($1::text[])
"""

_PROJECTS = "SELECT id FROM annotation_projects WHERE id = ANY ($1::text[])"

_VERSIONS = """
    SELECT v.project_id, v.task_type, v.version_number
    FROM annotation_versions v
    JOIN (SELECT DISTINCT * FROM unnest($1::text[], $2::text[], $3::text[]) AS g (project_id, task_type, number)) g
        ON v.project_id = g.project_id AND v.task_type = g.task_type AND v.version_number = g.number
"""


async def folder_in_use(connection: ReadConnection, dataset_id: str) -> bool:
    """Whether anything in the database refers to the folder of a dataset."""
    used: bool = await connection.fetchval(_FOLDER_IN_USE, dataset_id)
    return used


async def held(connection: ReadConnection, dataset_id: str, keys: Sequence[str]) -> set[str]:
    """Return those of the keys that an image of the dataset has, as its own, its thumbnail's or its rendition's."""
    return {row["key"] for row in await connection.fetch(_HELD, dataset_id, list(keys))}


async def held_anywhere(connection: ReadConnection, keys: Sequence[str]) -> set[str]:
    """Return those of the keys that an image of any dataset has, or that are removed soon in any case."""
    return {row["key"] for row in await connection.fetch(_HELD_ANYWHERE, list(keys))}


async def projects(connection: ReadConnection, ids: Sequence[str]) -> set[str]:
    """Return those of the projects that are there."""
    return {row["id"] for row in await connection.fetch(_PROJECTS, list(ids))}


async def versions(connection: ReadConnection, wanted: Sequence[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
    """Return those (project, task, version number) that are there, as versions or as attempts to publish one."""
    columns = [list(column) for column in zip(*wanted, strict=True)]
    rows = await connection.fetch(_VERSIONS, *columns)
    return {(row["project_id"], row["task_type"], row["version_number"]) for row in rows}
