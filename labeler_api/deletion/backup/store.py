"""SQL of the backup before a deletion: whole rows in PostgreSQL's JSON, and the contents of a DICE file."""

# ruff: noqa: S608 - the statements are put together from constants

from collections.abc import AsyncIterator, Mapping

from labeler_api.db.pool import ReadConnection, Row, Snapshot
from labeler_api.projects.waiting_counters import REVISION

_OF_PROJECT = "project_id IN (SELECT id FROM annotation_projects WHERE dataset_id = $1)"
_OF_VERSION = f"version_id IN (SELECT id FROM annotation_versions WHERE {_OF_PROJECT})"

# What goes with a dataset, in an order in which it could be put back; locks, which nobody holds afterwards, aside.
_WHERE: Mapping[str, str] = {
    "datasets": "id = $1",
    "image_metadata": "dataset_id = $1",
    "invitations": "dataset_id = $1",
    "annotation_projects": "dataset_id = $1",
    "project_changes": _OF_PROJECT,
    "project_permissions": _OF_PROJECT,
    "annotations": _OF_PROJECT,
    "annotation_history": _OF_PROJECT,
    "image_annotation_status": _OF_PROJECT,
    "annotation_versions": _OF_PROJECT,
    "annotation_snapshots": _OF_VERSION,
    "annotation_tasks": _OF_PROJECT,
    "comments": _OF_PROJECT,
    "deleted_images": "dataset_id = $1",
    "deleted_image_rows": "deleted_image_id IN (SELECT id FROM deleted_images WHERE dataset_id = $1)",
}

TABLES = tuple(_WHERE)
"""The tables of a backup."""

_ROWS = {table: f"SELECT to_jsonb(t)::text AS row FROM {table} t WHERE {where}" for table, where in _WHERE.items()}

_COUNTS = "SELECT " + ", ".join(
    f"(SELECT count(*) FROM {table} WHERE {where}) AS {table}" for table, where in _WHERE.items()
)

_HEADER = f"""
    SELECT d.name AS dataset_name, d.images_revision,
           p.id AS project_id, {REVISION} AS revision, p.name AS project_name, p.description AS project_description,
           p.created_at AS project_created_at, p.task_types, p.task_classes::text AS task_classes,
           clock_timestamp() AS now
    FROM datasets d LEFT JOIN annotation_projects p ON p.dataset_id = d.id
    WHERE d.id = $1 AND d.deleted_at IS NULL
"""

_CONTENT = """
    SELECT (SELECT count(*) FROM annotations WHERE project_id = $1) AS annotations,
           (SELECT count(DISTINCT image_id) FROM annotations WHERE project_id = $1) AS images,
           (SELECT COALESCE(array_agg(user_id), '{}') FROM (
                SELECT created_by AS user_id FROM annotations WHERE project_id = $1
                UNION SELECT confirmed_by FROM annotations WHERE project_id = $1 AND confirmed_by IS NOT NULL
            ) AS people) AS user_ids,
           (SELECT COALESCE(json_agg(json_build_array(key, name)), '[]')::text FROM (
                SELECT task_type || ':' || class_id AS key, min(COALESCE(class_name, class_id)) AS name
                FROM annotations WHERE project_id = $1 AND annotation_type <> 'no_object' GROUP BY task_type, class_id
            ) AS classes) AS used_classes
"""

# A class id is one of its task only: beside those of other tasks it needs the task's name before it.
_ANNOTATIONS = """
    SELECT (to_jsonb(a) || jsonb_build_object(
               'class_id', a.task_type || ':' || a.class_id,
               'image', jsonb_build_object(
                   'file_name', CASE WHEN i.id IS NULL THEN a.image_id
                                     ELSE concat_ws('/', NULLIF(i.folder_path, ''), i.file_name) END,
                   'width', COALESCE(i.width, 0), 'height', COALESCE(i.height, 0),
                   'confirmed_at', s.confirmed_at)))::text AS annotation
    FROM annotations a
    LEFT JOIN image_metadata i ON i.dataset_id = $2 AND i.id = a.image_id
    LEFT JOIN image_annotation_status s
        ON s.project_id = a.project_id AND s.image_id = a.image_id AND s.task_type = a.task_type
        AND s.is_image_confirmed
    WHERE a.project_id = $1
    ORDER BY a.image_id COLLATE "C", a.id
"""


async def header(connection: ReadConnection, dataset_id: str) -> Row | None:
    """Find the fields of a dataset and its project, and their revisions, which show a later change."""
    return await connection.fetchrow(_HEADER, dataset_id)


async def counts(connection: ReadConnection, dataset_id: str) -> dict[str, int]:
    """Count the rows of each table."""
    row = await connection.fetchrow(_COUNTS, dataset_id)
    assert row is not None  # noqa: S101 - an aggregate always gives a row
    return dict(row)


async def content(connection: ReadConnection, project_id: str) -> Row:
    """Find what a DICE file says once, for every task of a project."""
    row = await connection.fetchrow(_CONTENT, project_id)
    assert row is not None  # noqa: S101 - an aggregate always gives a row
    return row


def rows(snapshot: Snapshot, table: str, dataset_id: str) -> AsyncIterator[str]:
    """Yield the rows of one of `TABLES`, as JSON."""
    return snapshot.texts(_ROWS[table], dataset_id)


def annotations(snapshot: Snapshot, project_id: str, dataset_id: str) -> AsyncIterator[str]:
    """Yield every annotation of a project as JSON, drafts too, in the order of the files."""
    return snapshot.texts(_ANNOTATIONS, project_id, dataset_id)
