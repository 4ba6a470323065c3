"""SQL of projects."""

# ruff: noqa: S608 - the only text put into the statements is the lists of columns below

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import astuple

from labeler_api.db import page_bytes
from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.members.authorization.access import OUTCOME, Actor, reading
from labeler_api.projects.creation_sql import made
from labeler_api.projects.waiting_counters import COUNTED, WAITING

_OWN = (
    *("id", "name", "dataset_id", "owner_id", "task_types", "total_images", "annotated_images", "total_annotations"),
    *("status", "created_at", "updated_at", "last_updated_by", "revision"),
)
_OF_DATASET = ("dataset_name", "dataset_num_items")
_JSON = ("task_config", "task_classes", "settings")
# The project's own number of images is set where its row is free; the dataset's always.
_ELSEWHERE = {**COUNTED, "total_images": "d.num_images"}
_NAMED = ", ".join(
    (
        *(f"{_ELSEWHERE.get(column, f'p.{column}')} AS {column}" for column in _OWN),
        *("d.name AS dataset_name", "d.num_images AS dataset_num_items"),
    )
)
# The classes are decoded, which takes ten times their size for as long as the answer is made.
_MOST_BYTES = 2 * 2**20


def _one(project_id: str) -> str:
    """Select a project by the same rules as in a list: one alone may be too large for an answer."""
    return page_bytes.one(
        f"""
        SELECT {_NAMED}, p.description, p.task_config, p.task_classes, p.settings
        FROM annotation_projects p
        JOIN datasets d ON d.id = p.dataset_id
        {WAITING}
        WHERE p.id = {project_id}
        """,
        kept=(*_OWN, *_OF_DATASET),
        json=_JSON,
        text=("description",),
        most=_MOST_BYTES,
    )


_GET = _one("$1")

# What annotations call their class is not checked: a project may have as many as it has annotations. Those behind so
# many of a project, or of all that one call asks about, count as 0; the largest public label set has 20 000.
_CLASSES = 20_000
_CLASSES_AT_ONCE = 200_000


def _counted(project_id: str, most: str) -> str:
    """Count: one row a class, and one with task_type NULL for the whole.

    Two groupings one above the other, because count(DISTINCT image_id) would read the rows themselves: these read
    indexes alone, in their order.
    """
    return f"""
        (SELECT task_type, class_id, sum(annotations)::bigint AS annotations, count(*) AS images
        FROM (
            SELECT task_type, class_id, image_id, count(*) AS annotations
            FROM annotations WHERE project_id = {project_id} AND class_id IS NOT NULL
            GROUP BY task_type, class_id, image_id
        ) AS per_class_and_image
        GROUP BY task_type, class_id ORDER BY task_type, class_id LIMIT {most})
        UNION ALL
        SELECT NULL, NULL, COALESCE(sum(annotations), 0)::bigint, count(*)
        FROM (
            SELECT count(*) AS annotations FROM annotations WHERE project_id = {project_id} GROUP BY image_id
        ) AS per_image
    """


# Project by project, so that a plan for one is the plan for all.
_COUNTS = f"""
    SELECT asked.project_id, counted.*
    FROM unnest($1::varchar[]) AS asked(project_id)
    CROSS JOIN LATERAL ({_counted("asked.project_id", "$2")}) AS counted
"""

# $3 and $4: the project and the revision of which the counts are known; others come along, a column an array. Both,
# since a dataset may get another project, which counts from zero.
_GET_COUNTED = reading(f"""
    SELECT project.*, counts.*
    FROM ({_one("found.project_id")}) AS project
    CROSS JOIN LATERAL (
        SELECT array_agg(task_type) AS counted_tasks, array_agg(class_id) AS counted_classes,
               array_agg(annotations) AS counted_annotations, array_agg(images) AS counted_images
        FROM ({_counted("found.project_id", str(_CLASSES))}) AS counted
        WHERE (project.id, project.revision) IS DISTINCT FROM ($3::varchar, $4::bigint)
    ) AS counts
""")

# The dataset's row is locked so that its image count cannot change between being read and being copied.
# Of two calls at once the second finds the first one's project and changes nothing.
_CREATE = f"""
    WITH dataset AS (
        SELECT id, name, description, owner_id, num_images FROM datasets
        WHERE id = $6 AND deleted_at IS NULL FOR NO KEY UPDATE
    ), {made(name="COALESCE($7::varchar, name)", description="$8::text", settings="$9::jsonb")}
    SELECT {", ".join(f"project.{column}" for column in _OWN)}, dataset.name AS dataset_name,
           dataset.num_images AS dataset_num_items, {page_bytes.text_value("project.description")},
           {", ".join(page_bytes.json_value(f"project.{column}") for column in _JSON)}
    FROM project, dataset
"""

# The newest first.
_LIST = page_bytes.page(
    f"""
    SELECT {_NAMED}, p.description, p.task_config, p.task_classes, p.settings
    FROM project_permissions m
    JOIN annotation_projects p ON p.id = m.project_id
    JOIN datasets d ON d.id = p.dataset_id
    {WAITING}
    WHERE m.user_id = $1 AND ($2::timestamptz IS NULL OR (p.created_at, p.id) < ($2, $3::varchar))
    ORDER BY p.created_at DESC, p.id DESC
    LIMIT $4 OFFSET $5
    """,
    "created_at DESC, id DESC",
    kept=(*_OWN, *_OF_DATASET),
    json=_JSON,
    text=("description",),
    most=_MOST_BYTES,
)

# Fields that are not sent stay. The locked row is the one that is changed: an update uses its latest version.
_UPDATE = f"""
    WITH held AS MATERIALIZED (SELECT * FROM lock_project_1($1, $2, $3, $4, 'turn')),
    changed AS (
        UPDATE annotation_projects
        SET name = COALESCE($5, name),
            description = CASE WHEN $6::boolean THEN $7 ELSE description END,
            task_config = COALESCE($8::jsonb, task_config),
            settings = COALESCE($9::jsonb, settings),
            status = COALESCE($10, status),
            last_updated_by = $2, updated_at = clock_timestamp()
        WHERE id = (SELECT found_project_id FROM held WHERE outcome = 'held')
    )
    SELECT {OUTCOME} FROM held
"""

_ADD_TASK_TYPE = f"""
    WITH held AS MATERIALIZED (SELECT * FROM lock_project_1($1, $2, $3, $4, 'turn')),
    changed AS (
        UPDATE annotation_projects
        SET task_types = task_types || $5::varchar,
            task_config = jsonb_build_object($5::text, $6::jsonb) || task_config,
            task_classes = jsonb_build_object($5::text, '{{}}'::jsonb) || task_classes,
            revision = revision + 1, last_updated_by = $2, updated_at = clock_timestamp()
        WHERE id = (SELECT found_project_id FROM held WHERE outcome = 'held') AND $5 <> ALL (task_types)
        RETURNING id
    )
    SELECT {OUTCOME}, EXISTS (SELECT FROM changed) AS is_added FROM held
"""


async def get(connection: ReadConnection, project_id: str) -> Row | None:
    """Find a project, with what its response says of the dataset."""
    return await connection.fetchrow(_GET, project_id)


async def get_counted(
    connection: ReadConnection, reference: str, user_id: int, known_id: str | None, known_revision: int | None
) -> Row | None:
    """Find a project with the user's access to it, and count as `counts` does unless this revision of it is known.

    The counts are four arrays, None for the known revision. Without a project its columns are None.
    """
    return await connection.fetchrow(_GET_COUNTED, reference, user_id, known_id, known_revision)


async def counts(connection: ReadConnection, project_ids: Sequence[str]) -> list[Row]:
    """Count projects' annotations and images: per class, and in the row without a task type as a whole."""
    most = min(_CLASSES, _CLASSES_AT_ONCE // max(1, len(project_ids)))
    return await connection.fetch(_COUNTS, list(project_ids), most)


async def create(
    tx: WriteTransaction,
    *,
    project_id: str,
    dataset_id: str,
    task_types: Sequence[str],
    task_config: str,
    task_classes: str,
    actor: int,
    name: str | None = None,
    description: str | None = None,
    settings: str = "{}",
) -> Row | None:
    """Make the project of a dataset, owned by the dataset's owner, and return it; None where there is one already.

    Without a name or a description of its own it has the dataset's.
    """
    return await tx.fetchrow(
        _CREATE,
        project_id,
        list(task_types),
        task_config,
        task_classes,
        actor,
        dataset_id,
        name,
        description,
        settings,
    )


async def page(
    connection: ReadConnection, user_id: int, *, after: tuple[datetime, str] | None, limit: int, skip: int
) -> tuple[list[Row], bool]:
    """Return the projects that the user is a member of, the newest first, from behind (creation time, id) on.

    And whether their bytes ended the page.
    """
    created_at, project_id = after or (None, None)
    return page_bytes.taken(await connection.fetch(_LIST, user_id, created_at, project_id, limit, skip))


async def update(
    tx: WriteTransaction,
    actor: Actor,
    *,
    name: str | None,
    new_description: bool,
    description: str | None,
    task_config: str | None,
    settings: str | None,
    status: str | None,
) -> Row | None:
    """Change a project; None leaves a column as it is, the description aside, for which `new_description` decides."""
    return await tx.fetchrow(
        _UPDATE, *astuple(actor), name, new_description, description, task_config, settings, status
    )


async def add_task_type(tx: WriteTransaction, actor: Actor, task_type: str, config: str) -> Row | None:
    """Append a task with its configuration; not `is_added` when the project has it already."""
    return await tx.fetchrow(_ADD_TASK_TYPE, *astuple(actor), task_type, config)
