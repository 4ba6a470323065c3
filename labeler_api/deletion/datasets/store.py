"""SQL of deletion: what makes a dataset or a project unfindable, in one moment. `rows_store.py` has what comes after.

A deleted project has no dataset any more. Every statement finds a project by its dataset, so nobody finds it, an older
API neither. A deleted dataset has a `deleted_at`, has no owner, and is private.

Locks are taken in the order of every other writer: the project's row (`authorize` with `ProjectLock.EXCLUSIVE`),
then the dataset's. FOR UPDATE waits for writers that hold the project, and for those whose new row refers to it; later
callers find neither.
"""

from collections.abc import Sequence

from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.projects.waiting_counters import COUNTED, REVISION, WAITING

# Counters are kept numbers, because the person who deletes waits for this.
_IMPACT = f"""
    SELECT d.id AS dataset_id, d.name AS dataset_name, d.num_images AS images,
           p.id AS project_id, p.name AS project_name, p.task_types,
           COALESCE({COUNTED["total_annotations"]}, 0) AS annotations, v.versions, v.version_bytes
    FROM datasets d
    LEFT JOIN annotation_projects p ON p.dataset_id = d.id
    {WAITING}
    CROSS JOIN LATERAL (
        SELECT count(*) AS versions, COALESCE(sum(file_size_bytes), 0)::bigint AS version_bytes
        FROM annotation_versions WHERE project_id = p.id AND version_type NOT IN ('publishing', 'discarded')
    ) v
    WHERE d.id = $1 AND d.deleted_at IS NULL
"""  # noqa: S608 - constants

# Reads each image; for where the store cannot be listed.
_IMAGE_FILES = """
    SELECT COALESCE(sum(size), 0)::bigint AS image_bytes, count(thumbnail_key) + count(rendition_key) AS made_of_them
    FROM image_metadata WHERE dataset_id = $1
"""

_LOCK_DATASET = "SELECT name, images_revision FROM datasets WHERE id = $1 AND deleted_at IS NULL FOR UPDATE"

# After the locks: a project that was made between the look at the dataset and its lock shows here.
_PROJECT_OF = f"SELECT p.id, {REVISION} AS revision FROM annotation_projects p WHERE p.dataset_id = $1"  # noqa: S608 - a constant

# What is deleted with the project: kept numbers, or numbers counted in an index. Versions share the rows of their
# snapshots; those of old ones, and of attempts, are counted one by one.
_CONTENTS = f"""
    SELECT {COUNTED["total_annotations"]} AS annotations,
           (SELECT COALESCE(sum(s.confirmed + s.in_progress), 0) FROM image_status_counts s
            WHERE s.project_id = p.id) AS statuses,
           (SELECT count(*) FROM annotation_versions v WHERE v.project_id = p.id) AS versions,
           (SELECT count(*) FROM annotation_snapshots s JOIN annotation_versions v ON v.id = s.version_id
            WHERE v.project_id = p.id AND v.snapshot_ids IS NULL)
           + (SELECT COALESCE(sum(upper(ids) - lower(ids)), 0)::bigint FROM (
                  SELECT unnest(range_agg(snapshot_ids)) AS ids FROM annotation_versions v WHERE v.project_id = p.id
              ) shared) AS snapshots
    FROM annotation_projects p {WAITING} WHERE p.id = $1
"""  # noqa: S608 - constants

# Nobody finds it from here on. Its people lose it with the same commit: a writer who waited for this finds no role.
_HIDE_PROJECT = """
    WITH people AS (DELETE FROM project_permissions WHERE project_id = $1)
    UPDATE annotation_projects SET dataset_id = NULL WHERE id = $1
"""

# An older API does not know `deleted_at`; it finds a dataset by its owner, its project or its visibility.
_HIDE_DATASET = """
    WITH invited AS (DELETE FROM invitations WHERE dataset_id = $1)
    UPDATE datasets SET deleted_at = clock_timestamp(), owner_id = 0, visibility = 'private' WHERE id = $1
"""

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


async def image_files(connection: ReadConnection, dataset_id: str) -> Row | None:
    """Say what the rows know of the images in the store: their bytes, and how many files were made of them."""
    return await connection.fetchrow(_IMAGE_FILES, dataset_id)


async def lock_dataset(tx: WriteTransaction, dataset_id: str) -> Row | None:
    """Lock a dataset; return its name and the revision of its images, None when it is gone."""
    return await tx.fetchrow(_LOCK_DATASET, dataset_id)


async def project_of(tx: WriteTransaction, dataset_id: str) -> Row | None:
    """Find the project of a dataset that is locked: its id and revision."""
    return await tx.fetchrow(_PROJECT_OF, dataset_id)


async def contents(tx: WriteTransaction, project_id: str) -> Row | None:
    """Count what goes with a project that is locked: annotations, statuses, snapshots, versions."""
    return await tx.fetchrow(_CONTENTS, project_id)


async def hide_project(tx: WriteTransaction, project_id: str) -> None:
    """Let nobody find a project any more; it leaves its dataset."""
    await tx.execute(_HIDE_PROJECT, project_id)


async def cancel_invitations(tx: WriteTransaction, dataset_id: str) -> None:
    """Cancel the invitations to the project that a dataset had."""
    await tx.execute(_CANCEL_INVITATIONS, dataset_id)


async def hide_dataset(tx: WriteTransaction, dataset_id: str) -> None:
    """Let nobody find a dataset any more; invitations to it go."""
    await tx.execute(_HIDE_DATASET, dataset_id)


async def survivors(connection: ReadConnection, dataset_id: str | None, project_ids: Sequence[str]) -> list[str]:
    """Name what still refers to the objects of a deleted dataset and of deleted projects."""
    return [row["id"] for row in await connection.fetch(_SURVIVORS, dataset_id, list(project_ids))]
