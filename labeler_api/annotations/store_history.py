"""SQL of the history, and of bringing a revision back."""

# ruff: noqa: S608 - the only text put into the statements is the lists of columns below

from collections.abc import Sequence
from datetime import datetime

from labeler_api.annotations.revisions import logged
from labeler_api.annotations.store import COLUMNS
from labeler_api.db import page_bytes
from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.members.access import reading

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

# Where an annotation is or was, who made it, and its number now: that of its deletion where it is deleted.
_PLACE = """
    SELECT project_id, created_by, version, updated_by, updated_at, true AS is_there FROM annotations WHERE id = $1
    UNION ALL (
        SELECT project_id, (previous_state ->> 'created_by')::int, revision, changed_by, timestamp, false
        FROM annotation_history WHERE annotation_id = $1 ORDER BY id DESC LIMIT 1
    )
    ORDER BY is_there DESC LIMIT 1
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

# A revision stands in the write that made it, and once more in the one that followed: the latter helps where the
# former was made before whole revisions were kept.
_STATE = f"""
    SELECT CASE WHEN octet_length(state::text) <= {page_bytes.PAGE_BYTES} THEN state::text END AS state,
           state ->> 'image_id' AS image_id, state ?& $3::text[] AS is_whole
    FROM (
        SELECT new_state AS state, 0 AS place
        FROM annotation_history WHERE annotation_id = $1 AND project_id = $4 AND revision = $2
        UNION ALL
        SELECT previous_state, 1
        FROM annotation_history WHERE annotation_id = $1 AND project_id = $4 AND revision = $2::bigint + 1
    ) states
    WHERE jsonb_typeof(state) = 'object' ORDER BY place LIMIT 1
"""

_KIND_OF_REVISION = """
    SELECT action, revision FROM annotation_history
    WHERE annotation_id = $1 AND (revision = $2 OR revision IS NULL)
    ORDER BY revision IS NULL LIMIT 1
"""

# $2 the state, $3 the version that the caller saw or NULL. One of `changed` and `made` is empty: nobody else writes
# while the image is locked. A deleted annotation goes on counting where its deletion stopped.
_RESTORE = f"""
    WITH old AS MATERIALIZED (SELECT * FROM annotations WHERE id = $1),
    present AS (
        SELECT coalesce(
            (SELECT version FROM old),
            (SELECT max(revision) FROM annotation_history WHERE annotation_id = $1)
        ) AS version
    ),
    wanted AS (
        SELECT s.*, p.version + 1 AS next_version
        FROM jsonb_populate_record(NULL::annotations, $2::jsonb) s, present p
        WHERE $3::int IS NULL OR p.version = $3
    ),
    changed AS (
        UPDATE annotations a
        SET geometry = w.geometry, class_id = w.class_id, class_name = w.class_name, attributes = w.attributes,
            confidence = w.confidence, is_verified = w.is_verified, notes = w.notes,
            annotation_state = w.annotation_state, confirmed_at = w.confirmed_at, confirmed_by = w.confirmed_by,
            version = w.next_version, updated_by = $4, updated_at = statement_timestamp()
        FROM wanted w WHERE a.id = $1
        RETURNING a.*
    ),
    made AS (
        INSERT INTO annotations (
            id, project_id, image_id, annotation_type, task_type, geometry, attributes, class_id, class_name,
            confidence, notes, is_verified, annotation_state, confirmed_at, confirmed_by, created_by, created_at,
            version, updated_by, updated_at)
        SELECT $1, w.project_id, w.image_id, w.annotation_type, w.task_type, w.geometry, w.attributes, w.class_id,
            w.class_name, w.confidence, w.notes, w.is_verified, w.annotation_state, w.confirmed_at, w.confirmed_by,
            w.created_by, w.created_at, w.next_version, $4, statement_timestamp()
        FROM wanted w WHERE NOT EXISTS (SELECT FROM old)
        RETURNING *
    ),
    new AS (SELECT * FROM changed UNION ALL SELECT * FROM made),
    {logged("'restore'", new="new", old="old", user="$4")}
    SELECT {COLUMNS}, (SELECT count(*)::int FROM made) AS added FROM new
"""


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


async def place(connection: ReadConnection, annotation_id: int) -> Row | None:
    """Return where an annotation is, or was; None when nobody ever heard of it."""
    return await connection.fetchrow(_PLACE, annotation_id)


async def state(
    connection: ReadConnection, annotation_id: int, project_id: str, revision: int, columns: Sequence[str]
) -> Row | None:
    """Return a revision as JSON text, None for one that is too large, and whether it has all of these columns."""
    return await connection.fetchrow(_STATE, annotation_id, revision, list(columns), project_id)


async def kind_of_revision(connection: ReadConnection, annotation_id: int, revision: int) -> Row | None:
    """Return the write that made a revision, or else one that may have: its number was not noted."""
    return await connection.fetchrow(_KIND_OF_REVISION, annotation_id, revision)


async def restore(
    tx: WriteTransaction, annotation_id: int, state_text: str, version: int | None, user_id: int
) -> Row | None:
    """Bring a state back, `added` 1 where the annotation was deleted; None when its version is another."""
    return await tx.fetchrow(_RESTORE, annotation_id, state_text, version, user_id)
