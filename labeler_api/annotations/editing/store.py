"""SQL of annotations. Every write is one statement that writes the revision, too.

A revision holds the whole row before and after, as `to_jsonb` writes it, so that any of them can be restored.
Writers of one image take turns: every write locks the rows of its images first. A save does it in `claim_image_2`.
`set_annotation_state_2` does it itself and claims nothing. The time of a write is `statement_timestamp()`. It is not
the transaction's, which may have begun before another writer's turn.
"""

# ruff: noqa: S608 - the only text put into the statements is the list of columns below

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import astuple

from labeler_api.db import page_bytes
from labeler_api.db.one_and_rows import one_and_rows
from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.members.authorization.access import COLUMNS as ACCESS
from labeler_api.members.authorization.access import FOUND, WHERE_FOUND
from labeler_api.projects.waiting_counters import REVISION

PLAIN = (
    *("id", "project_id", "image_id", "annotation_type", "task_type", "class_id", "class_name", "confidence"),
    *("created_by", "updated_by", "is_verified", "version", "annotation_state", "confirmed_at", "confirmed_by"),
    *("created_at", "updated_at"),
)
JSON = ("geometry", "attributes")
# JSON as text: it is passed on as it is and never decoded.
COLUMNS = ", ".join((*PLAIN, *map(page_bytes.json_value, JSON), page_bytes.text_value("notes")))
_STORED = ", ".join((*PLAIN, *JSON, "notes"))

# A plan that was kept from an emptied table may read a whole index that merely contains the id. `BETWEEN` with
# `ORDER BY id` leaves the primary key as the only choice.
_FIND = f"SELECT {COLUMNS} FROM annotations WHERE id BETWEEN $1 AND $1 ORDER BY id LIMIT 1"

# With the caller's access to its project: a row only where there is one.
_FIND_FOR = f"""
    SELECT {ACCESS}, a.*
    FROM (SELECT {COLUMNS} FROM annotations WHERE id BETWEEN $1 AND $1 ORDER BY id LIMIT 1) a
    JOIN annotation_projects p ON p.id = a.project_id
    JOIN datasets d ON d.id = p.dataset_id
    LEFT JOIN project_permissions m ON m.project_id = p.id AND m.user_id = $2
"""

# As much of it as decides whether it may be changed, and how.
_FIND_KIND = f"""
    SELECT {ACCESS}, a.created_by, a.annotation_type, a.task_type
    FROM (
        SELECT project_id, created_by, annotation_type, task_type
        FROM annotations WHERE id BETWEEN $1 AND $1 ORDER BY id LIMIT 1
    ) a
    JOIN annotation_projects p ON p.id = a.project_id
    JOIN datasets d ON d.id = p.dataset_id
    LEFT JOIN project_permissions m ON m.project_id = p.id AND m.user_id = $2
"""

# With the caller's access, since an image is opened more often than anything. A row at least where there is something
# to have access to; its `id` is NULL where nothing is drawn. $7 and $8: the project and the revision that are known, of
# which nothing else is read.
_PAGE_OF_IMAGE = one_and_rows(
    f"{ACCESS}, {REVISION} AS revision",
    f"{FOUND} {WHERE_FOUND}",
    page_bytes.page(
        f"""
        SELECT {_STORED.replace("project_id, ", "")} FROM image_page_1(found.project_id, $3, $4, $5, $6)
        WHERE (found.project_id, found.revision) IS DISTINCT FROM ($7::varchar, $8::bigint) ORDER BY id
        """,
        "id",
        kept=[column for column in PLAIN if column != "project_id"],
        json=JSON,
        text=("notes",),
    ),
    "read.id",
)


# What the functions of the database return: what became of the call, and the annotation.
def writing(call: str) -> str:
    """Call a function of the database that writes one annotation."""
    return f"""
    SELECT w.outcome, w.found_project_id, w.found_dataset_id, w.found_visibility, w.found_owner_id, w.found_role,
           w.lock, {COLUMNS}
    FROM {call} w CROSS JOIN LATERAL (SELECT (w.annotation).*) a
    """


_CREATE = writing("create_annotation_2($1, $2, $3, $4, $5, $6::jsonb, $7)")
_UPDATE = writing("update_annotation_2($1, $2, $3, $4, $5, $6, $7::jsonb, $8)")
_DELETE = writing("delete_annotation_2($1, $2, $3, $4, $5, $6, $7)")
_SET_STATE = writing("set_annotation_state_2($1, $2, $3, $4, $5, $6, $7)")

# The task of the `no_object` that create_annotation_2 would bring back, or the project's only one.
_TASK = """
    SELECT coalesce(
        (
            SELECT h.previous_state ->> 'task_type'
            FROM annotation_history h
            WHERE h.undo_key = undo_key_1($1, $2, 'no_object', $3, NULL) AND h.project_id = $1 AND h.changed_by = $2
              AND h.timestamp > statement_timestamp() - interval '15 minutes'
              AND h.image_id = $3 AND h.previous_state ->> 'annotation_type' = 'no_object'
              AND ((h.previous_state ->> 'created_by')::integer = $2 OR $4)
              AND NOT EXISTS (SELECT FROM annotations a WHERE a.id = h.annotation_id)
              AND NOT EXISTS (SELECT FROM annotation_history l WHERE l.annotation_id = h.annotation_id AND l.id > h.id)
            ORDER BY h.id DESC LIMIT 1
        ),
        (SELECT task_types[1] FROM annotation_projects WHERE id = $1 AND cardinality(task_types) = 1)
    )
"""


async def find(connection: ReadConnection, annotation_id: int) -> Row | None:
    """Return an annotation, or None."""
    return await connection.fetchrow(_FIND, annotation_id)


async def find_for(connection: ReadConnection, annotation_id: int, user_id: int) -> Row | None:
    """Return an annotation with the user's access to its project, or None."""
    return await connection.fetchrow(_FIND_FOR, annotation_id, user_id)


async def find_kind(connection: ReadConnection, annotation_id: int, user_id: int) -> Row | None:
    """Return who made an annotation, its type and its task, with the user's access to its project, or None."""
    return await connection.fetchrow(_FIND_KIND, annotation_id, user_id)


class PageOfImage(Struct, frozen=True):
    """Which annotations of which image, of a project by its id or its dataset's."""

    reference: str
    image_id: str
    after_id: int
    limit: int
    skip: int


async def page_of_image(
    connection: ReadConnection, page: PageOfImage, user_id: int, known: tuple[str, int] | None
) -> list[Row]:
    """Return the annotations of an image by id, each with the user's access and the project's `revision`.

    `fits` is false on a last row that only tells that the page ended before it. Of a `known` project and revision no
    annotation is read.
    """
    place = page.image_id, page.after_id, page.limit, page.skip
    return await connection.fetch(_PAGE_OF_IMAGE, page.reference, user_id, *place, *(known or (None, None)))


async def task_of_undone(
    tx: WriteTransaction, project_id: str, user_id: int, image_id: str, *, of_others: bool
) -> str | None:
    """Return the task of the `no_object` on the image that `create` would bring back, else the project's only task."""
    task: str | None = await tx.fetchval(_TASK, project_id, user_id, image_id, of_others)
    return task


class Writer(Struct, frozen=True):
    """Who writes: roles that are enough for own annotations, and for others; `bypass_role_check` needs none."""

    user_id: int
    own_roles: Sequence[str]
    roles: Sequence[str]
    bypass_role_check: bool


async def create(tx: WriteTransaction, writer: Writer, reference: str, draft: str, lease_seconds: int) -> Row | None:
    """Add an annotation, an `AnnotationDraft` as JSON, with its first revision; say what became of it.

    One that equals what the same person deleted a short while ago is that one again, with its id and its history.
    """
    return await tx.fetchrow(
        _CREATE,
        reference,
        writer.user_id,
        writer.own_roles,
        writer.bypass_role_check,
        writer.roles,
        draft,
        lease_seconds,
    )


async def update(
    tx: WriteTransaction, writer: Writer, annotation_id: int, version: int | None, change: str, lease_seconds: int
) -> Row | None:
    """Change an annotation whose version is the given one. Raises NothingMatched when it is not, or it is gone.

    `change` is a JSON object of columns and their new values.
    """
    return await tx.fetchrow(_UPDATE, annotation_id, *astuple(writer), version, change, lease_seconds)


async def delete(
    tx: WriteTransaction, writer: Writer, annotation_id: int, version: int | None, lease_seconds: int
) -> Row | None:
    """Delete an annotation whose version is the given one. Raises NothingMatched when it is not, or it is gone."""
    return await tx.fetchrow(_DELETE, annotation_id, *astuple(writer), version, lease_seconds)


async def set_state(tx: WriteTransaction, writer: Writer, annotation_id: int, state: str, effect: str) -> Row | None:
    """Confirm an annotation or make it a draft again."""
    return await tx.fetchrow(_SET_STATE, annotation_id, *astuple(writer), state, effect)
