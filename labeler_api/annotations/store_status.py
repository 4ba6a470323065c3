"""SQL of what follows from annotations: a status row per image and task, and the project's counters."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from labeler_api.db.pool import ReadConnection, Row, WriteTransaction


class Mark(StrEnum):
    """What a write does to the image's confirmation (contract, section 15, image status)."""

    KEEP = "keep"  # deleting one of several, a new no_object
    CLEAR = "clear"  # a new draft, an edit, an unconfirm
    CONFIRM = "confirm"  # an image confirm
    CONFIRM_IF_COMPLETE = "confirm_if_complete"  # an annotation confirm: only after the last draft


@dataclass(frozen=True, slots=True)
class Touched:
    """A task of an image that a write touched, and by how many its annotations grew or shrank."""

    image_id: str
    task_type: str
    mark: Mark
    added: int = 0


# Runs after the write, in its transaction and under the lock of the project, so nothing counted here can change.
# What exists is updated and not upserted: an upsert would take a number of the sequence each time.
_SETTLE = """
    WITH touched AS (
        SELECT * FROM unnest($2::text[], $3::text[], $4::text[], $5::int[]) AS t (image_id, task_type, mark, added)
    ),
    counted AS (
        SELECT t.image_id, t.task_type, t.mark,
               count(a.id)::int AS total,
               (count(a.id) FILTER (WHERE a.annotation_state = 'confirmed'))::int AS confirmed,
               (count(a.id) FILTER (WHERE a.annotation_state = 'draft'))::int AS drafts,
               min(a.created_at) AS first_modified_at, max(a.updated_at) AS last_modified_at
        FROM touched t
        LEFT JOIN annotations a ON a.project_id = $1 AND a.image_id = t.image_id AND a.task_type = t.task_type
        GROUP BY t.image_id, t.task_type, t.mark
    ),
    decided AS (
        SELECT c.*, s.id AS status_id, s.confirmed_at AS was_confirmed_at,
               c.mark = 'confirm' OR (c.mark = 'confirm_if_complete' AND c.drafts = 0) AS is_new,
               c.mark <> 'clear' AND coalesce(s.is_image_confirmed, false) AS is_kept
        FROM counted c
        LEFT JOIN image_annotation_status s
          ON s.project_id = $1 AND s.image_id = c.image_id AND s.task_type = c.task_type
    ),
    target AS (
        SELECT d.*, is_new OR is_kept AS flag,
               CASE WHEN is_new OR is_kept THEN 'completed' ELSE 'in-progress' END AS status,
               CASE WHEN is_new THEN statement_timestamp() WHEN is_kept THEN was_confirmed_at END AS confirmed_at
        FROM decided d
    ),
    gone AS (DELETE FROM image_annotation_status s USING target t WHERE s.id = t.status_id AND t.total = 0),
    changed AS (
        UPDATE image_annotation_status s
        SET status = t.status, is_image_confirmed = t.flag, confirmed_at = t.confirmed_at,
            first_modified_at = t.first_modified_at, last_modified_at = t.last_modified_at,
            total_annotations = t.total, confirmed_annotations = t.confirmed, draft_annotations = t.drafts
        FROM target t WHERE s.id = t.status_id AND t.total > 0
    ),
    made AS (
        INSERT INTO image_annotation_status (
            project_id, image_id, task_type, status, is_image_confirmed, confirmed_at, first_modified_at,
            last_modified_at, total_annotations, confirmed_annotations, draft_annotations)
        SELECT $1, image_id, task_type, status, flag, confirmed_at, first_modified_at, last_modified_at,
               total, confirmed, drafts
        FROM target WHERE status_id IS NULL AND total > 0
    ),
    images AS (
        SELECT t.image_id, sum(t.added) AS added,
               (SELECT count(*) FROM annotations a WHERE a.project_id = $1 AND a.image_id = t.image_id) AS present
        FROM touched t GROUP BY t.image_id
    ),
    balance AS (
        SELECT coalesce(sum(added), 0)::int AS annotations,
               (count(*) FILTER (WHERE present > 0) - count(*) FILTER (WHERE present > added))::int AS images
        FROM images
    ),
    project AS (
        UPDATE annotation_projects p
        SET total_annotations = p.total_annotations + b.annotations,
            annotated_images = p.annotated_images + b.images,
            revision = p.revision + 1, last_updated_by = $6, updated_at = statement_timestamp()
        FROM balance b WHERE p.id = $1
    )
    SELECT image_id, task_type, status, flag AS is_image_confirmed, confirmed_at,
           total AS total_annotations, confirmed AS confirmed_annotations
    FROM target WHERE total > 0 ORDER BY image_id, task_type
"""

# One entry an image, in the order of the list of images. Without a task the image's tasks are taken together.
# OFFSET keeps the planner from reading every annotation there is, once, instead of those of each image.
_PAGE = """
    SELECT i.id AS image_id, i.uploaded_at, coalesce(s.id, 0) AS id, s.is_image_confirmed, s.first_modified_at,
           s.last_modified_at, s.confirmed_at, coalesce(s.total, 0)::int AS total_annotations,
           coalesce(s.confirmed, 0)::int AS confirmed_annotations, coalesce(s.drafts, 0)::int AS draft_annotations,
           EXISTS (
               SELECT FROM annotations a
               WHERE a.project_id = $1 AND a.image_id = i.id AND a.annotation_type = 'no_object'
                 AND ($3::text IS NULL OR a.task_type = $3)
               OFFSET 0
           ) AS has_no_object
    FROM (
        SELECT id, uploaded_at FROM image_metadata
        WHERE dataset_id = $2 AND (uploaded_at, id) > ($6, $7)
        ORDER BY uploaded_at, id LIMIT $4 OFFSET $5
    ) i
    LEFT JOIN LATERAL (
        SELECT min(x.id) AS id, bool_and(x.is_image_confirmed) AS is_image_confirmed,
               min(x.first_modified_at) AS first_modified_at, max(x.last_modified_at) AS last_modified_at,
               CASE WHEN bool_and(x.is_image_confirmed) THEN max(x.confirmed_at) END AS confirmed_at,
               sum(x.total_annotations) AS total, sum(x.confirmed_annotations) AS confirmed,
               sum(x.draft_annotations) AS drafts
        FROM image_annotation_status x
        WHERE x.project_id = $1 AND x.image_id = i.id AND ($3::text IS NULL OR x.task_type = $3)
    ) s ON true
    ORDER BY i.uploaded_at, i.id
"""

_COUNT_IMAGES = "SELECT count(*)::int FROM image_metadata WHERE dataset_id = $1"

_TASKS = """
    SELECT task_types, (SELECT count(*)::int FROM image_metadata WHERE dataset_id = $2) AS total_images
    FROM annotation_projects WHERE id = $1
"""

# Six tasks exist. A `no_object` may name any other, and a project has as many of those as somebody makes up.
_STATS = """
    SELECT task_type, (count(*) FILTER (WHERE is_image_confirmed))::int AS confirmed,
           (count(*) FILTER (WHERE NOT is_image_confirmed))::int AS in_progress
    FROM image_annotation_status WHERE project_id = $1 GROUP BY task_type ORDER BY task_type LIMIT 1000
"""

_STATS_OF_ALL = """
    SELECT (count(*) FILTER (WHERE done))::int AS confirmed, (count(*) FILTER (WHERE NOT done))::int AS in_progress
    FROM (
        SELECT bool_and(is_image_confirmed) AS done
        FROM image_annotation_status WHERE project_id = $1 GROUP BY image_id
    ) images
"""


async def settle(tx: WriteTransaction, project_id: str, touched: Sequence[Touched], user_id: int) -> list[Row]:
    """Bring status rows, counters and the revision up to date after a write; return the statuses that remain.

    `touched` names every (image, task) at most once.
    """
    return await tx.fetch(
        _SETTLE,
        project_id,
        [item.image_id for item in touched],
        [item.task_type for item in touched],
        [item.mark.value for item in touched],
        [item.added for item in touched],
        user_id,
    )


async def page(
    connection: ReadConnection,
    project_id: str,
    dataset_id: str,
    task_type: str | None,
    *,
    limit: int,
    offset: int,
    after: tuple[datetime, str],
) -> list[Row]:
    """Return the statuses of the images behind a position, those without a row included."""
    return await connection.fetch(_PAGE, project_id, dataset_id, task_type, limit, offset, *after)


async def count_images(connection: ReadConnection, dataset_id: str) -> int:
    """Count the images of a dataset."""
    number: int = await connection.fetchval(_COUNT_IMAGES, dataset_id)
    return number


async def tasks(connection: ReadConnection, project_id: str, dataset_id: str) -> Row | None:
    """Return the tasks of a project, and how many images each of them is about."""
    return await connection.fetchrow(_TASKS, project_id, dataset_id)


async def stats(connection: ReadConnection, project_id: str) -> dict[str, Row]:
    """Count the images of each task that somebody has begun."""
    return {row["task_type"]: row for row in await connection.fetch(_STATS, project_id)}


async def stats_of_all(connection: ReadConnection, project_id: str) -> Any:
    """Count the images that somebody has begun, over all tasks; confirmed means in each of them."""
    return await connection.fetchrow(_STATS_OF_ALL, project_id)
