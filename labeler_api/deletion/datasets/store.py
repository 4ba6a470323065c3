"""SQL of deletion.

Locks are taken in the order of every other writer: the project's row (`authorize` with `Lock.ALONE`), then the
dataset's. FOR UPDATE waits for writers that hold the project, and for those whose new row refers to it; later callers
find neither.
"""

from collections.abc import Sequence

from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.projects.waiting_counters import REVISION

_IMPACT = """
    SELECT d.id AS dataset_id, d.name AS dataset_name, i.images, i.image_bytes, i.made_of_them,
           p.id AS project_id, p.name AS project_name, p.task_types,
           (SELECT count(*) FROM annotations a WHERE a.project_id = p.id) AS annotations,
           v.versions, v.version_bytes
    FROM datasets d
    LEFT JOIN annotation_projects p ON p.dataset_id = d.id
    CROSS JOIN LATERAL (
        SELECT count(*) AS images, COALESCE(sum(size), 0)::bigint AS image_bytes,
               count(thumbnail_key) + count(rendition_key) AS made_of_them
        FROM image_metadata WHERE dataset_id = d.id
    ) i
    CROSS JOIN LATERAL (
        SELECT count(*) AS versions, COALESCE(sum(file_size_bytes), 0)::bigint AS version_bytes
        FROM annotation_versions WHERE project_id = p.id AND version_type NOT IN ('publishing', 'discarded')
    ) v
    WHERE d.id = $1
"""

_LOCK_DATASET = "SELECT name, images_revision FROM datasets WHERE id = $1 FOR UPDATE"

# After the locks: a project that was made between the look at the dataset and its lock shows here.
_PROJECT_OF = f"SELECT p.id, {REVISION} AS revision FROM annotation_projects p WHERE p.dataset_id = $1"  # noqa: S608 - a constant

_DELETE_ANNOTATIONS = "DELETE FROM annotations WHERE project_id = $1"

_DELETE_STATUSES = "DELETE FROM image_annotation_status WHERE project_id = $1"

_DELETE_SNAPSHOTS = """
    DELETE FROM annotation_snapshots s USING annotation_versions v WHERE v.id = s.version_id AND v.project_id = $1
"""

_DELETE_VERSIONS = "DELETE FROM annotation_versions WHERE project_id = $1"

# History, locks, members, images, invitations and everything else of theirs go by cascade.
_DELETE_PROJECT = "DELETE FROM annotation_projects WHERE id = $1"

_DELETE_DATASET = "DELETE FROM datasets WHERE id = $1"

# An invitation is to the project that it was sent for, and not to the one that the dataset may get later.
_CANCEL_INVITATIONS = """
    UPDATE invitations SET status = 'cancelled', cancelled_at = clock_timestamp()
    WHERE dataset_id = $1 AND status = 'pending'
"""

# Legacy data may have a dataset, or images of one, in the folder of another; rows in quarantine, too.
_SURVIVORS = """
    SELECT id FROM datasets WHERE id = $1::varchar OR starts_with(storage_path, 'datasets/' || $1 || '/')
    UNION ALL
    (SELECT dataset_id FROM image_metadata WHERE starts_with(s3_key, 'datasets/' || $1 || '/') LIMIT 1)
    UNION ALL
    (SELECT dataset_id FROM deleted_images WHERE starts_with(s3_key, 'datasets/' || $1 || '/') LIMIT 1)
    UNION ALL
    (SELECT row ->> 'id' FROM quarantine_datasets
     WHERE row ->> 'id' <> $1 AND starts_with(row ->> 'storage_path', 'datasets/' || $1 || '/') LIMIT 1)
    UNION ALL
    (SELECT row ->> 'dataset_id' FROM quarantine_image_metadata
     WHERE row ->> 'dataset_id' <> $1 AND starts_with(row ->> 's3_key', 'datasets/' || $1 || '/') LIMIT 1)
    UNION ALL
    SELECT id FROM annotation_projects WHERE id = ANY ($2::varchar[])
"""


async def impact(connection: ReadConnection, dataset_id: str) -> Row | None:
    """Count what a dataset and its project hold."""
    return await connection.fetchrow(_IMPACT, dataset_id)


async def lock_dataset(tx: WriteTransaction, dataset_id: str) -> Row | None:
    """Lock a dataset; return its name and the revision of its images, None when it is gone."""
    return await tx.fetchrow(_LOCK_DATASET, dataset_id)


async def project_of(tx: WriteTransaction, dataset_id: str) -> Row | None:
    """Find the project of a dataset that is locked: its id and revision."""
    return await tx.fetchrow(_PROJECT_OF, dataset_id)


async def delete_contents(tx: WriteTransaction, project_id: str) -> tuple[int, int, int, int]:
    """Delete what is counted of a project: annotations, statuses, snapshots, versions."""
    annotations = await tx.execute(_DELETE_ANNOTATIONS, project_id)
    statuses = await tx.execute(_DELETE_STATUSES, project_id)
    snapshots = await tx.execute(_DELETE_SNAPSHOTS, project_id)
    versions = await tx.execute(_DELETE_VERSIONS, project_id)
    return annotations, statuses, snapshots, versions


async def delete_project(tx: WriteTransaction, project_id: str, dataset_id: str) -> None:
    """Delete a project and what belongs to it alone; invitations to it are cancelled."""
    await tx.execute(_DELETE_PROJECT, project_id)
    await tx.execute(_CANCEL_INVITATIONS, dataset_id)


async def delete_dataset(tx: WriteTransaction, dataset_id: str) -> None:
    """Delete a dataset, its project, and everything that belongs to the two."""
    await tx.execute(_DELETE_DATASET, dataset_id)


async def survivors(connection: ReadConnection, dataset_id: str | None, project_ids: Sequence[str]) -> list[str]:
    """Name what still refers to the objects of a deleted dataset and of deleted projects."""
    return [row["id"] for row in await connection.fetch(_SURVIVORS, dataset_id, list(project_ids))]
