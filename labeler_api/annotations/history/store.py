"""SQL of the history, and of bringing a revision back."""

# ruff: noqa: S608 - the only text put into the statements is the lists of columns below

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import astuple

from labeler_api.annotations.editing.store import Writer, writing
from labeler_api.db import page_bytes
from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.members.authorization.access import COLUMNS as ACCESS
from labeler_api.members.authorization.access import reading

_PLAIN = ("id", "annotation_id", "project_id", "image_id", "action", "revision", "changed_by", "timestamp")
_STATES = ("previous_state", "new_state")
_ENTRY = ", ".join((*_PLAIN, *_STATES))

_OF_PROJECT = reading(
    page_bytes.page(
        f"""
        SELECT {_ENTRY} FROM annotation_history
        WHERE project_id = found.project_id AND (timestamp, id) < ($3, $4::bigint)
        ORDER BY timestamp DESC, id DESC LIMIT $5 OFFSET $6
        """,
        "timestamp DESC, id DESC",
        kept=_PLAIN,
        json=_STATES,
    ),
    "read.timestamp DESC, read.id DESC",
)

# Where an annotation is or was, who made it, and its number now: that of its deletion where it is deleted. The range
# has it found by the primary key (`editing.store`).
_PLACE = """
    (
        SELECT project_id, created_by, version, updated_by, updated_at, true AS is_there
        FROM annotations WHERE id BETWEEN $1 AND $1 ORDER BY id LIMIT 1
    )
    UNION ALL (
        SELECT project_id, (previous_state ->> 'created_by')::int, revision, changed_by, timestamp, false
        FROM annotation_history WHERE annotation_id = $1 ORDER BY id DESC LIMIT 1
    )
    ORDER BY is_there DESC LIMIT 1
"""

_PLACE_FOR = f"""
    SELECT {ACCESS}, place.created_by, place.version, place.updated_by, place.updated_at
    FROM ({_PLACE}) place
    JOIN annotation_projects p ON p.id = place.project_id
    JOIN datasets d ON d.id = p.dataset_id
    LEFT JOIN project_permissions m ON m.project_id = p.id AND m.user_id = $2
"""

_OF_ANNOTATION = reading(
    page_bytes.page(
        f"""
        SELECT {_ENTRY} FROM annotation_history
        WHERE annotation_id = $1 AND project_id = found.project_id AND id < $3::bigint
        ORDER BY id DESC LIMIT $4 OFFSET $5
        """,
        "id DESC",
        kept=_PLAIN,
        json=_STATES,
    ),
    "read.id DESC",
    where=f"WHERE p.id = (SELECT project_id FROM ({_PLACE}) place)",
)

_KIND_OF_REVISION = """
    SELECT action, revision FROM annotation_history
    WHERE annotation_id = $1 AND (revision = $2 OR revision IS NULL)
    ORDER BY revision IS NULL LIMIT 1
"""

_RESTORE = writing("restore_annotation_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")


async def of_project(
    connection: ReadConnection, reference: str, user_id: int, *, before: tuple[datetime, int], limit: int, skip: int
) -> tuple[Row | None, list[Row], bool]:
    """Return the user's access; writes to a project, the newest first; and whether their bytes ended the page."""
    return _taken(await connection.fetch(_OF_PROJECT, reference, user_id, *before, limit, skip))


async def of_annotation(
    connection: ReadConnection, annotation_id: int, user_id: int, *, before: int, limit: int, skip: int
) -> tuple[Row | None, list[Row], bool]:
    """Return the user's access, None for what nobody ever heard of; and writes to an annotation, as `of_project` does.

    Ids are in the order of the writes.
    """
    return _taken(await connection.fetch(_OF_ANNOTATION, annotation_id, user_id, before, limit, skip))


def _taken(found: list[Row]) -> tuple[Row | None, list[Row], bool]:
    rows, is_cut = page_bytes.taken([row for row in found if row["id"] is not None])
    return found[0] if found else None, rows, is_cut


async def place(connection: ReadConnection, annotation_id: int, user_id: int) -> Row | None:
    """Return where an annotation is, or was, with the user's access; None when nobody ever heard of it."""
    return await connection.fetchrow(_PLACE_FOR, annotation_id, user_id)


async def kind_of_revision(connection: ReadConnection, annotation_id: int, revision: int) -> Row | None:
    """Return the write that made a revision, or else one that may have: its number was not noted."""
    return await connection.fetchrow(_KIND_OF_REVISION, annotation_id, revision)


async def restore(
    tx: WriteTransaction,
    writer: Writer,
    annotation_id: int,
    version: int | None,
    revision: int,
    columns: Sequence[str],
    lease_seconds: int,
) -> Row | None:
    """Bring a revision with all of these columns back. Raises NothingMatched for another version of the annotation."""
    return await tx.fetchrow(
        _RESTORE,
        annotation_id,
        *astuple(writer),
        version,
        revision,
        list(columns),
        page_bytes.PAGE_BYTES,
        lease_seconds,
    )
