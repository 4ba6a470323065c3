"""SQL of projects."""

# ruff: noqa: S608 - the only text put into the statements is the lists of columns below

from collections.abc import Sequence
from datetime import datetime

from labeler_api.db import page_bytes
from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.members.access import reading
from labeler_api.projects.changes import COUNTED, WAITING

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
    return page_bytes.page(
        f"""
        SELECT {_NAMED}, p.description, p.task_config, p.task_classes, p.settings
        FROM annotation_projects p
        JOIN datasets d ON d.id = p.dataset_id
        {WAITING}
        WHERE p.id = {project_id}
        """,
        "id",
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
# since a dataset may get another project, which begins to count anew.
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
_CREATE = """
    WITH dataset AS (
        SELECT id, name, description, owner_id, num_images FROM datasets WHERE id = $2 FOR NO KEY UPDATE
    ), project AS (
        INSERT INTO annotation_projects (id, dataset_id, name, description, owner_id, task_types, task_config,
                                         task_classes, total_images, last_updated_by, settings)
        SELECT $1, id, COALESCE($7::varchar, name),
               COALESCE($8::text, NULLIF(description, ''), 'Annotations of the dataset ' || name), owner_id,
               $3::varchar[], $4::jsonb, $5::jsonb, num_images, $6::integer, $9::jsonb
        FROM dataset
        ON CONFLICT (dataset_id) DO NOTHING
        RETURNING id, owner_id
    )
    INSERT INTO project_permissions (project_id, user_id, role, granted_by)
    SELECT id, owner_id, 'owner', owner_id FROM project
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

_UPDATE = """
    UPDATE annotation_projects
    SET name = COALESCE($2, name),
        description = CASE WHEN $3::boolean THEN $4 ELSE description END,
        task_config = COALESCE($5::jsonb, task_config),
        settings = COALESCE($6::jsonb, settings),
        status = COALESCE($7, status),
        last_updated_by = $8, updated_at = clock_timestamp()
    WHERE id = $1
"""

_ADD_TASK_TYPE = """
    UPDATE annotation_projects
    SET task_types = task_types || $2::varchar,
        task_config = jsonb_build_object($2::text, $3::jsonb) || task_config,
        task_classes = jsonb_build_object($2::text, '{}'::jsonb) || task_classes,
        revision = revision + 1, last_updated_by = $4, updated_at = clock_timestamp()
    WHERE id = $1 AND $2 <> ALL (task_types)
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
) -> bool:
    """Make the project of a dataset, owned by the dataset's owner; False and nothing where there is one already.

    Without a name or a description of its own it has the dataset's.
    """
    made = await tx.execute(
        _CREATE,
        project_id,
        dataset_id,
        list(task_types),
        task_config,
        task_classes,
        actor,
        name,
        description,
        settings,
    )
    return made > 0


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
    project_id: str,
    *,
    name: str | None,
    new_description: bool,
    description: str | None,
    task_config: str | None,
    settings: str | None,
    status: str | None,
    actor: int,
) -> None:
    """Change a project; None leaves a column as it is, the description aside, for which `new_description` decides."""
    await tx.execute(_UPDATE, project_id, name, new_description, description, task_config, settings, status, actor)


async def add_task_type(tx: WriteTransaction, project_id: str, task_type: str, config: str, actor: int) -> bool:
    """Append a task with its configuration; False when the project has it already."""
    return await tx.execute(_ADD_TASK_TYPE, project_id, task_type, config, actor) > 0
