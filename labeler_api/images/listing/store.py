"""SQL of images: reading."""

# ruff: noqa: S608 - the only text put into the statements is constants

from datetime import datetime
from typing import NamedTuple

from labeler_api.db import deep_pages
from labeler_api.db.pool import ReadConnection, Row
from labeler_api.members.authorization.access import reading
from labeler_api.projects.waiting_counters import COUNTED, WAITING

_COLUMNS = """
    dataset_id, id, file_name, s3_key, folder_path, size, width, height, last_modified, uploaded_at,
    content_sha256, content_type, thumbnail_key, rendition_key
"""


def _in_order(place: str = "dataset_id = found.dataset_id", paging: str = "LIMIT $3 OFFSET $4") -> str:
    return f"""
        SELECT {_COLUMNS} FROM image_metadata
        WHERE {place}
        ORDER BY uploaded_at, id {paging}
    """


def _unless_known(first: int) -> str:
    """Select what a page is true of, and `listed`: whose images are read, NULL where that is known.

    Every change of the images counts them again, in its transaction, and raises the revision. What is known are the
    parameters from `first` on. For NULL, nothing of an index is read.
    """
    return f"""
        d.images_revision, d.num_images AS total,
        CASE WHEN (p.id, d.images_revision, d.num_images)
                  IS DISTINCT FROM (${first}::varchar, ${first + 1}::bigint, ${first + 2}::integer)
             THEN d.id END AS listed
    """


_IN_ORDER = "read.uploaded_at, read.id"
_PAGE = reading(
    deep_pages.page(
        _COLUMNS,
        "image_metadata WHERE dataset_id = found.listed",
        ("uploaded_at", "id"),
        total="found.total",
        limit="$3::bigint",
        offset="$4::bigint",
    ),
    _IN_ORDER,
    also=_unless_known(5),
)
_PAGE_AFTER = reading(
    _in_order("dataset_id = found.listed AND (uploaded_at, id) > ($4, $5)", "LIMIT $3"),
    _IN_ORDER,
    also=_unless_known(6),
)
_PREVIEW = reading(_in_order(), _IN_ORDER)

# About twenty times as many as are wanted are drawn, then shuffled: sorting all of 200 000 takes twice as long.
_SAMPLE = reading(
    f"""
    SELECT {_COLUMNS} FROM image_metadata
    WHERE dataset_id = found.dataset_id AND id IN (
        SELECT id FROM image_metadata
        WHERE dataset_id = found.dataset_id AND random() < 20.0 * $3::int / GREATEST(found.num_images, 1)
        ORDER BY random() LIMIT $3::int
    )
    """,
    "random()",
    also="d.num_images",
)

_FIND = f"SELECT {_COLUMNS} FROM image_metadata WHERE dataset_id = $1 AND id = $2"

# Of one id, the latest deletions: nobody deletes and uploads the same path a hundred times within a month.
_FIND_DELETED = """
    SELECT i.dataset_id, i.id, i.file_name, i.s3_key, i.folder_path, i.size, i.width, i.height, i.last_modified,
           i.uploaded_at, i.content_sha256, i.content_type, i.thumbnail_key, i.rendition_key
    FROM deleted_images d CROSS JOIN LATERAL jsonb_populate_record(NULL::image_metadata, d.image) i
    WHERE d.dataset_id = $1 AND d.image_id = $2
    ORDER BY d.id DESC LIMIT 100
"""

# The first images, each with all that is counted. Six tasks exist; a `no_object` may name any other.
_SUMMARY = reading(
    _in_order(),
    _IN_ORDER,
    also=f"""
        d.name, p.task_types, COALESCE({COUNTED["annotated_images"]}, 0) AS annotated_images,
        COALESCE({COUNTED["total_annotations"]}, 0) AS total_annotations,
        GREATEST(d.updated_at, {COUNTED["updated_at"]}) AS updated_at, i.total_images, i.total_bytes, progress.*
    """,
    joined=f"""
        {WAITING}
        CROSS JOIN LATERAL (
            SELECT count(*) AS total_images, COALESCE(sum(size), 0)::bigint AS total_bytes
            FROM image_metadata WHERE dataset_id = d.id
        ) i
        CROSS JOIN LATERAL (
            SELECT array_agg(task_type) AS begun_tasks, array_agg(in_progress) AS in_progress,
                   array_agg(completed) AS completed
            FROM (
                SELECT task_type, count(*) FILTER (WHERE status = 'in-progress') AS in_progress,
                       count(*) FILTER (WHERE status = 'completed') AS completed
                FROM image_annotation_status WHERE project_id = p.id GROUP BY task_type ORDER BY task_type LIMIT 1000
            ) tasks
        ) progress
    """,
)


class KnownImages(NamedTuple):
    """What a page is true of: a project, the revision of its images, and how many there are."""

    project_id: str
    revision: int
    total: int


_NOTHING = (None, None, None)


async def page(
    connection: ReadConnection, reference: str, user_id: int, limit: int, offset: int, known: KnownImages | None = None
) -> list[Row]:
    """Return images by the time of their upload, each with `total`, the number of all, and the user's access.

    As the others here: a row at least where there is a dataset; its `id` is None where there is no image. Where what
    is known is still so, there is this one row alone.
    """
    return await connection.fetch(_PAGE, reference, user_id, limit, offset, *(known or _NOTHING))


async def page_after(
    connection: ReadConnection,
    reference: str,
    user_id: int,
    limit: int,
    position: tuple[datetime, str],
    known: KnownImages | None = None,
) -> list[Row]:
    """Return the images that follow a position of the same order, as `page` does."""
    return await connection.fetch(_PAGE_AFTER, reference, user_id, limit, *position, *(known or _NOTHING))


async def preview(connection: ReadConnection, reference: str, user_id: int, limit: int) -> list[Row]:
    """Return the first images, with the user's access."""
    return await connection.fetch(_PREVIEW, reference, user_id, limit, 0)


async def sample(connection: ReadConnection, reference: str, user_id: int, limit: int) -> list[Row]:
    """Return images at random, with the user's access."""
    return await connection.fetch(_SAMPLE, reference, user_id, limit)


async def find(connection: ReadConnection, dataset_id: str, image_id: str) -> Row | None:
    """Find one image."""
    return await connection.fetchrow(_FIND, dataset_id, image_id)


async def find_deleted(connection: ReadConnection, dataset_id: str, image_id: str) -> list[Row]:
    """Find the images of an id that were deleted and are kept, the latest deletion first."""
    return await connection.fetch(_FIND_DELETED, dataset_id, image_id)


async def summary(connection: ReadConnection, reference: str, user_id: int, limit: int) -> list[Row]:
    """Return the first images, each with what the dataset and its project count, and the user's access.

    `begun_tasks`, `in_progress` and `completed` are arrays; images without a state are not counted.
    """
    return await connection.fetch(_SUMMARY, reference, user_id, limit, 0)
