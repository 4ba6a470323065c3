"""SQL of the sweep: what rows in quarantine refer to. They lie whole, as JSON, in `quarantine_<table>`.

There are few of them and no index: a statement reads a table once. It is asked only about what would be an orphan.
"""

from collections.abc import Sequence

from labeler_api.db.pool import ReadConnection

_FOLDER = """
    SELECT EXISTS (SELECT FROM quarantine_datasets
                   WHERE row ->> 'id' = $1::text OR starts_with(row ->> 'storage_path', 'datasets/' || $1 || '/')
                      OR starts_with(row ->> 'annotation_path', 'datasets/' || $1 || '/'))
        OR EXISTS (SELECT FROM quarantine_image_metadata
                   WHERE row ->> 'dataset_id' = $1 OR starts_with(row ->> 's3_key', 'datasets/' || $1 || '/'))
        OR EXISTS (SELECT FROM quarantine_annotation_projects WHERE row ->> 'dataset_id' = $1)
        OR EXISTS (SELECT FROM quarantine_dataset_permissions WHERE row ->> 'dataset_id' = $1)
        OR EXISTS (SELECT FROM quarantine_invitations WHERE row ->> 'dataset_id' = $1)
"""

_KEYS = """
    SELECT row ->> 's3_key' AS key FROM quarantine_image_metadata WHERE row ->> 's3_key' = ANY ($1::text[])
    UNION ALL
    SELECT row ->> 'thumbnail_key' FROM quarantine_image_metadata WHERE row ->> 'thumbnail_key' = ANY ($1::text[])
    UNION ALL
    SELECT row ->> 'rendition_key' FROM quarantine_image_metadata WHERE row ->> 'rendition_key' = ANY ($1::text[])
    UNION ALL
    SELECT row ->> 'annotation_path' FROM quarantine_datasets WHERE row ->> 'annotation_path' = ANY ($1::text[])
    UNION ALL
    SELECT row ->> 'export_path' FROM quarantine_annotation_versions WHERE row ->> 'export_path' = ANY ($1::text[])
"""

# Rows whose image has no row: the object may be all that is left of it. Of any dataset: to keep one too many is safe.
_IMAGES = """
    SELECT row ->> 'id' AS id FROM quarantine_image_metadata WHERE row ->> 'id' = ANY ($1::text[])
    UNION
    SELECT row ->> 'image_id' FROM quarantine_annotations WHERE row ->> 'image_id' = ANY ($1::text[])
    UNION
    SELECT row ->> 'image_id' FROM quarantine_image_annotation_status WHERE row ->> 'image_id' = ANY ($1::text[])
    UNION
    SELECT row ->> 'image_id' FROM quarantine_image_locks WHERE row ->> 'image_id' = ANY ($1::text[])
    UNION
    SELECT row ->> 'image_id' FROM quarantine_comments WHERE row ->> 'image_id' = ANY ($1::text[])
    UNION
    SELECT one FROM quarantine_annotation_tasks,
        jsonb_array_elements_text(CASE jsonb_typeof(row -> 'image_ids') WHEN 'array' THEN row -> 'image_ids' END) AS one
    WHERE one = ANY ($1::text[])
"""

_PROJECTS = """
    SELECT row ->> 'id' AS id FROM quarantine_annotation_projects WHERE row ->> 'id' = ANY ($1::text[])
    UNION
    SELECT row ->> 'project_id' FROM quarantine_project_permissions WHERE row ->> 'project_id' = ANY ($1::text[])
    UNION
    SELECT row ->> 'project_id' FROM quarantine_annotations WHERE row ->> 'project_id' = ANY ($1::text[])
    UNION
    SELECT row ->> 'project_id' FROM quarantine_annotation_history WHERE row ->> 'project_id' = ANY ($1::text[])
    UNION
    SELECT row ->> 'project_id' FROM quarantine_image_annotation_status WHERE row ->> 'project_id' = ANY ($1::text[])
    UNION
    SELECT row ->> 'project_id' FROM quarantine_image_locks WHERE row ->> 'project_id' = ANY ($1::text[])
    UNION
    SELECT row ->> 'project_id' FROM quarantine_annotation_versions WHERE row ->> 'project_id' = ANY ($1::text[])
    UNION
    SELECT row ->> 'project_id' FROM quarantine_annotation_tasks WHERE row ->> 'project_id' = ANY ($1::text[])
    UNION
    SELECT row ->> 'project_id' FROM quarantine_comments WHERE row ->> 'project_id' = ANY ($1::text[])
"""

_VERSIONS = """
    SELECT g.project_id, g.task_type, g.number FROM quarantine_annotation_versions q
    JOIN unnest($1::text[], $2::text[], $3::text[]) AS g (project_id, task_type, number)
        ON q.row ->> 'project_id' = g.project_id AND q.row ->> 'task_type' = g.task_type
        AND q.row ->> 'version_number' = g.number
"""


async def folder(connection: ReadConnection, dataset_id: str) -> bool:
    """Whether a row in quarantine refers to a dataset, or to anything in its folder."""
    used: bool = await connection.fetchval(_FOLDER, dataset_id)
    return used


async def keys(connection: ReadConnection, wanted: Sequence[str]) -> set[str]:
    """Return those of the keys that a row in quarantine has."""
    return {row["key"] for row in await connection.fetch(_KEYS, list(wanted))}


async def images(connection: ReadConnection, ids: Sequence[str]) -> set[str]:
    """Return those of the ids of images that a row in quarantine is, or hangs on."""
    return {row["id"] for row in await connection.fetch(_IMAGES, list(ids))}


async def projects(connection: ReadConnection, ids: Sequence[str]) -> set[str]:
    """Return those of the projects of which anything is in quarantine."""
    return {row["id"] for row in await connection.fetch(_PROJECTS, list(ids))}


async def versions(connection: ReadConnection, wanted: Sequence[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
    """Return those (project, task, version number) that are in quarantine."""
    columns = [list(column) for column in zip(*wanted, strict=True)]
    rows = await connection.fetch(_VERSIONS, *columns)
    return {(row["project_id"], row["task_type"], row["number"]) for row in rows}
