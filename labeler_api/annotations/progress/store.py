"""SQL that reads the statuses of images: a row per image and task, kept by the ledger."""

# ruff: noqa: S608 - the only text put into the statements is parts of ours

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from labeler_api.db import deep_pages
from labeler_api.db.pool import ReadConnection, Row
from labeler_api.members.authorization.access import COLUMNS as ACCESS
from labeler_api.members.authorization.access import FOUND, WHERE_FOUND, reading
from labeler_api.projects.waiting_counters import REVISION

MOST_BEHIND = 10_000
"""How many entries may stand behind a page (contract#progress): as many images as one person can overlook."""

MOST_ON_A_PAGE = 200  # the limit of the call: so many of those that were begun may stand on the page itself

# An older API changed a row without counting these again: a count is true as long as the row has the values from that
# time. The next write counts again. OFFSET keeps the planner from reading every annotation there is, once.
_HAS_NO_OBJECT = """
    CASE WHEN x.counted_total = x.total_annotations AND x.counted_modified_at = x.last_modified_at
         THEN x.no_object_annotations > 0
         ELSE EXISTS (
             SELECT FROM annotations a
             WHERE a.project_id = x.project_id AND a.image_id = x.image_id AND a.task_type = x.task_type
               AND a.annotation_type = 'no_object'
             OFFSET 0
         )
    END
"""

# Without a task the image's tasks are taken together.
_TOGETHER = f"""
    min(x.id) AS id, bool_and(x.is_image_confirmed) AS is_image_confirmed,
    min(x.first_modified_at) AS first_modified_at, max(x.last_modified_at) AS last_modified_at,
    CASE WHEN bool_and(x.is_image_confirmed) THEN max(x.confirmed_at) END AS confirmed_at,
    sum(x.total_annotations)::int AS total_annotations, sum(x.confirmed_annotations)::int AS confirmed_annotations,
    sum(x.draft_annotations)::int AS draft_annotations, bool_or({_HAS_NO_OBJECT}) AS has_no_object
"""

_COLUMNS = (
    *("image_id", "uploaded_at", "id", "is_image_confirmed", "first_modified_at", "last_modified_at", "confirmed_at"),
    *("total_annotations", "confirmed_annotations", "draft_annotations", "has_no_object"),
)

_BEGUN_COLUMNS = tuple(name for name in _COLUMNS if name != "uploaded_at")

_LOOK_UP = 8  # images walked past while one is looked up: an entry of the index, or four pages of it

# By the primary key, which alone has this order: a plan that was made for an empty table takes any index that has the
# dataset, and reads it through. Of two values the order would mean nothing, so they are where the search begins.
_LOOKED_UP = """
    (SELECT array_agg(i.id ORDER BY i.uploaded_at, i.id)
    FROM begun b CROSS JOIN LATERAL (
        SELECT dataset_id, id, uploaded_at FROM image_metadata
        WHERE (dataset_id, id) >= ((SELECT dataset_id FROM behind), b.image_id) ORDER BY dataset_id, id LIMIT 1
    ) i
    WHERE i.id = b.image_id AND i.dataset_id = (SELECT dataset_id FROM behind))
"""

# Many of them are looked up three times as fast by reading their part of the list of ids, where they lie close together
# in it, as they do where much was begun: the answer holds those with the first ids.
_MANY = 1000  # looked up in 2 ms: no reason to see whether they lie close together
_NEIGHBOURS = 4  # images read in the time in which one is looked up
_IN_SPAN = "i.dataset_id = ids.dataset_id AND i.id BETWEEN ids.first AND ids.last"

_IS_DENSE = f"""
    (SELECT ids.number * {_NEIGHBOURS} >= (
        SELECT count(*) FROM (
            SELECT FROM image_metadata i WHERE {_IN_SPAN} ORDER BY i.id LIMIT ids.number * {_NEIGHBOURS} + 1
        ) found
    ) FROM span ids)
"""

_READ_TOGETHER = f"""
    (SELECT array_agg(i.id ORDER BY i.uploaded_at, i.id)
    FROM span ids CROSS JOIN LATERAL (
        SELECT i.id, i.uploaded_at FROM image_metadata i WHERE {_IN_SPAN} ORDER BY i.id OFFSET 0
    ) i WHERE (i.id IN (SELECT image_id FROM begun)) IS TRUE)
"""

_WALKED = """
    (SELECT array_agg(i.id)
    FROM (
        SELECT id FROM image_metadata
        WHERE dataset_id = (SELECT dataset_id FROM behind WHERE EXISTS (SELECT FROM begun))
        ORDER BY uploaded_at, image_metadata.id
    ) i WHERE (i.id IN (SELECT image_id FROM begun)) IS TRUE)
"""

_PAGE_OF_IMAGES = deep_pages.page(
    "id, uploaded_at",
    "image_metadata WHERE dataset_id = wanted.dataset_id AND (uploaded_at, id) > ($6, $7)",
    ("uploaded_at", "id"),
    # Behind a cursor there are fewer, and nobody knows how many.
    total="CASE WHEN wanted.is_first THEN wanted.num_images ELSE 9223372036854775807 END",
    limit="$4::bigint",
    offset="$5::bigint",
)


_STATE = "project_id || ' ' || revision || ' ' || images_revision"


def _page(begun: str) -> str:
    """Select, in one row, the access and the numbers that every change of a status and of the list of images bumps.

    Beside them the page, a column an array: one entry an image, in the order of the list of images. And what stands
    behind it: the statuses that `begun` selects, and the ids of their images in the order of the list; none behind a
    page that holds all images, or that a cursor leads to. $8 and $9: the numbers that are known, for which nothing is
    read. $10: what is known of all that stands behind (`state`), for which that alone is not read.

    The images of what is behind are found by their keys while they are few of all: each by its own, or the whole part
    of the index in which they lie. The others take two walks, each along one index. A join of the two would be right as
    well, but a planner without statistics compares every row with every other. What follows IN is hashed, as it is no
    condition of a join; so many ids fit into any work_mem.
    """
    return f"""
        WITH found AS MATERIALIZED (
            SELECT {ACCESS}, {REVISION} AS revision, d.images_revision, d.num_images {FOUND} {WHERE_FOUND}
        ),
        wanted AS MATERIALIZED (
            SELECT project_id, dataset_id, num_images, $7 = '' AS is_first,
                   {_STATE} IS DISTINCT FROM $10::text AS is_other
            FROM found
            WHERE project_id IS NOT NULL AND (revision, images_revision) IS DISTINCT FROM ($8::bigint, $9::bigint)
        ),
        page AS MATERIALIZED (
            SELECT i.id AS image_id, i.uploaded_at, coalesce(s.id, 0) AS id, s.is_image_confirmed, s.first_modified_at,
                   s.last_modified_at, s.confirmed_at, coalesce(s.total_annotations, 0) AS total_annotations,
                   coalesce(s.confirmed_annotations, 0) AS confirmed_annotations,
                   coalesce(s.draft_annotations, 0) AS draft_annotations,
                   coalesce(s.has_no_object, false) AS has_no_object
            FROM wanted
            CROSS JOIN LATERAL ({_PAGE_OF_IMAGES}) i
            LEFT JOIN LATERAL (
                SELECT {_TOGETHER} FROM image_annotation_status x
                WHERE x.project_id = wanted.project_id AND x.image_id = i.id AND ($3::text IS NULL OR x.task_type = $3)
            ) s ON true
            ORDER BY i.uploaded_at, i.id
        ),
        behind AS MATERIALIZED (
            SELECT project_id, dataset_id FROM wanted WHERE is_first AND is_other AND ($5 > 0 OR num_images > $4)
        ),
        begun AS MATERIALIZED ({begun} LIMIT {MOST_BEHIND + MOST_ON_A_PAGE}),
        span AS MATERIALIZED (
            SELECT (SELECT dataset_id FROM behind) AS dataset_id, min(image_id) AS first, max(image_id) AS last,
                   count(*) AS number
            FROM begun
        )
        SELECT found.*, NOT EXISTS (SELECT FROM wanted) AS is_known, shown.*, others.*
        FROM found
        CROSS JOIN (SELECT {_arrays("page", _COLUMNS)} FROM page) shown
        CROSS JOIN (
            SELECT {_arrays("begun", _BEGUN_COLUMNS)},
                   CASE WHEN count(*) * {_LOOK_UP} > (SELECT num_images FROM wanted) THEN {_WALKED}
                        WHEN count(*) >= {_MANY} AND {_IS_DENSE} THEN {_READ_TOGETHER}
                        ELSE {_LOOKED_UP} END AS in_order
            FROM begun
        ) others
    """


def _arrays(name: str, columns: Sequence[str]) -> str:
    return ", ".join(f"array_agg({column}) AS {name}_{column}" for column in columns)


_PAGE_IN_TASK = _page(
    f"""
    SELECT x.image_id, x.id, x.is_image_confirmed, x.first_modified_at, x.last_modified_at, x.confirmed_at,
           x.total_annotations, x.confirmed_annotations, x.draft_annotations, {_HAS_NO_OBJECT} AS has_no_object
    FROM image_annotation_status x WHERE x.project_id = (SELECT project_id FROM behind) AND x.task_type = $3
    ORDER BY x.project_id, x.image_id
    """
)

_PAGE_IN_ANY = _page(
    f"""
    SELECT x.image_id, {_TOGETHER} FROM image_annotation_status x WHERE x.project_id = (SELECT project_id FROM behind)
    GROUP BY x.project_id, x.image_id ORDER BY x.project_id, x.image_id
    """
)

# A row a task that somebody began, as it is kept; of a project without tasks one for all, counted. Six tasks exist. A
# `no_object` may name any other, and a project has as many of those as somebody makes up.
_STATS = reading(
    """
    (SELECT task_type, sum(confirmed)::int AS confirmed, sum(in_progress)::int AS in_progress
     FROM image_status_counts WHERE project_id = found.project_id AND cardinality(found.task_types) > 0
     GROUP BY task_type ORDER BY task_type LIMIT 1000)
    UNION ALL
    SELECT NULL, (count(*) FILTER (WHERE done))::int, (count(*) FILTER (WHERE NOT done))::int
    FROM (
        SELECT bool_and(is_image_confirmed) AS done
        FROM image_annotation_status WHERE project_id = found.project_id AND cardinality(found.task_types) = 0
        GROUP BY image_id
    ) images
    """,
    also="""
        coalesce(p.task_types, '{}') AS task_types,
        d.num_images AS total_images
    """,
)


async def page(
    connection: ReadConnection,
    reference: str,
    user_id: int,
    task_type: str | None,
    *,
    limit: int,
    offset: int,
    after: tuple[datetime, str],
    known: tuple[int, int] | None,
    known_behind: str | None,
) -> Row | None:
    """Return the user's access with `revision`, `images_revision` and `num_images`, and the statuses.

    They are of the images behind a position, those without a row included (`columns_of_page`), and of others that
    somebody began (`columns_behind`). `is_known`: nothing was read, since the revisions are the known ones. Those
    behind are not read where the `state` is the one that they are known of.
    """
    revisions = known or (None, None)
    sql = _PAGE_IN_ANY if task_type is None else _PAGE_IN_TASK
    return await connection.fetchrow(
        sql, reference, user_id, task_type, limit, offset, *after, *revisions, known_behind
    )


def state(project_id: str, revisions: tuple[int, int]) -> str:
    """Say what a list is true of, as the statement says it."""
    return f"{project_id} {revisions[0]} {revisions[1]}"


def columns_of_page(found: Row) -> dict[str, list[Any]]:
    """Return the statuses that `page` found on the page, a column a list."""
    return {name: found[f"page_{name}"] or [] for name in _COLUMNS}


def columns_behind(found: Row) -> tuple[dict[str, list[Any]], list[str]]:
    """Return the statuses that `page` found behind the page, a column a list, and their images in the list's order.

    Of more than the answer may hold those with the first ids are taken.
    """
    return {name: found[f"begun_{name}"] or [] for name in _BEGUN_COLUMNS}, found["in_order"] or []


async def stats(connection: ReadConnection, reference: str, user_id: int) -> tuple[Row | None, dict[str | None, Row]]:
    """Return the user's access with `task_types` and `total_images`; and images begun, by task.

    Under None stands what is counted over all tasks; confirmed means in each of them. For a project without tasks.
    """
    rows = await connection.fetch(_STATS, reference, user_id)
    return rows[0] if rows else None, {row["task_type"]: row for row in rows}
