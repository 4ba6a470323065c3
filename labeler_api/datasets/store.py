"""SQL of datasets."""

# ruff: noqa: S608 - the only text put into the statements is the list of columns below

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from labeler_api.db import page_bytes
from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.members.authorization.access import HELD, IS_HELD, reading
from labeler_api.projects.creation_sql import made

_PLAIN = (
    *("id", "name", "owner_id", "visibility", "storage_path", "storage_type", "format", "labeled", "num_images"),
    *("created_at", "updated_at"),
)
_COLUMNS = ", ".join((*_PLAIN, page_bytes.text_value("description")))

_CREATE = f"""
    WITH dataset AS (
        INSERT INTO datasets (id, name, description, owner_id, visibility, storage_path)
        VALUES ($6::varchar, $7, $8, $5::integer, $9, 'datasets/' || $6::varchar || '/')
        RETURNING *
    ), {made()}
    SELECT {_COLUMNS} FROM dataset
"""

_GET = reading(f"SELECT {_COLUMNS} FROM datasets WHERE id = found.dataset_id")

# Own, member of, public; the newest first. IN and not EXISTS: the memberships of one user are few and hashed once.
_LIST = page_bytes.page(
    f"""
    SELECT {", ".join(_PLAIN)}, description
    FROM datasets
    WHERE (
        visibility = 'public' OR owner_id = $1 OR id IN (
            SELECT p.dataset_id FROM project_permissions m
            JOIN annotation_projects p ON p.id = m.project_id
            WHERE m.user_id = $1
        )
    ) AND deleted_at IS NULL AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::varchar))
    ORDER BY created_at DESC, id DESC
    LIMIT $4 OFFSET $5
    """,
    "created_at DESC, id DESC",
    kept=_PLAIN,
    text=("description",),
)

# $2 and $3: the membership as it was seen. A dataset without a project has no member rows.
_UPDATE = f"""
    WITH {HELD}
    UPDATE datasets
    SET name = $5, description = $6, visibility = COALESCE($7, visibility), updated_at = clock_timestamp()
    WHERE id = $4 AND deleted_at IS NULL AND ($1::varchar IS NULL OR {IS_HELD})
    RETURNING {_COLUMNS}
"""

_SIZE = reading("""
    SELECT count(*) AS images, COALESCE(sum(size), 0)::bigint AS bytes
    FROM image_metadata WHERE dataset_id = found.dataset_id
""")


@dataclass(frozen=True, slots=True)
class NewProject:
    """The project that a dataset begins with; JSON as text."""

    id: str
    task_types: Sequence[str]
    task_config: str
    task_classes: str


async def create(
    tx: WriteTransaction,
    project: NewProject,
    *,
    dataset_id: str,
    name: str,
    description: str | None,
    owner_id: int,
    visibility: str,
) -> Row:
    """Insert a dataset, its project and the owner's role."""
    row = await tx.fetchrow(
        _CREATE,
        project.id,
        list(project.task_types),
        project.task_config,
        project.task_classes,
        owner_id,
        dataset_id,
        name,
        description,
        visibility,
    )
    assert row is not None  # noqa: S101 - INSERT … RETURNING gives a row or raises
    return row


async def get(connection: ReadConnection, reference: str, user_id: int) -> Row | None:
    """Find a dataset with the user's access to it."""
    return await connection.fetchrow(_GET, reference, user_id)


async def page(
    connection: ReadConnection, user_id: int, *, after: tuple[datetime, str] | None, limit: int, skip: int
) -> tuple[list[Row], bool]:
    """Return what the user may see, the newest first, from the row with `after` as creation time and id on.

    And whether their bytes ended the page.
    """
    created_at, dataset_id = after or (None, None)
    return page_bytes.taken(await connection.fetch(_LIST, user_id, created_at, dataset_id, limit, skip))


async def update(
    tx: WriteTransaction,
    dataset_id: str,
    held: tuple[str | None, int | None, str],
    *,
    name: str,
    description: str | None,
    visibility: str | None,
) -> Row | None:
    """Change a dataset; a visibility of None stays as it is. None when the dataset is gone, or who asks has changed.

    `held`: the project, whose membership gives the right (None: none does), and the role.
    """
    return await tx.fetchrow(_UPDATE, *held, dataset_id, name, description, visibility)


async def size(connection: ReadConnection, reference: str, user_id: int) -> Row | None:
    """Count the images of a dataset and their bytes, with the user's access to it."""
    return await connection.fetchrow(_SIZE, reference, user_id)
