"""SQL of annotations. Every write is one statement that writes the revision, too.

A revision holds the whole row before and after, as `to_jsonb` writes it, so that any of them can be restored.
Writers of one image take turns: every write transaction locks its images first (`locks.service`). The time of a write
is `statement_timestamp()`, and not the transaction's, which may have begun before another writer's turn.
"""

# ruff: noqa: S608 - the only text put into the statements is the list of columns below

from collections.abc import Sequence

from labeler_api.db import page_bytes
from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.members.access import COLUMNS as ACCESS
from labeler_api.members.access import FOUND, WHERE_FOUND
from labeler_api.projects.changes import REVISION

_PLAIN = (
    *("id", "project_id", "image_id", "annotation_type", "task_type", "class_id", "class_name", "confidence"),
    *("created_by", "updated_by", "is_verified", "version", "annotation_state", "confirmed_at", "confirmed_by"),
    *("created_at", "updated_at"),
)
_JSON = ("geometry", "attributes")
# JSON as text: it is passed on as it is and never decoded.
COLUMNS = ", ".join((*_PLAIN, *map(page_bytes.json_value, _JSON), page_bytes.text_value("notes")))
_STORED = ", ".join((*_PLAIN, *_JSON, "notes"))

# The caller's access, and the number that every change of the project's annotations bumps.
_VIEW = f"SELECT {ACCESS}, {REVISION} AS revision {FOUND} {WHERE_FOUND}"

_FIND = f"SELECT {COLUMNS} FROM annotations WHERE id = $1"

# Compared as rows, so that only the index (project_id, id) has this order. Given an equality the planner prefers the
# primary key, and reads the annotations of every other project on its way.
_PAGE = page_bytes.page(
    f"""
    SELECT {_STORED}, xmin AS mark FROM annotations
    WHERE (project_id, id) > ($1, $2::bigint) AND (project_id, id) <= ($1, 9223372036854775807)
    ORDER BY project_id, id LIMIT $3 OFFSET $4
    """,
    "project_id, id",
    kept=(*_PLAIN, "mark"),
    json=_JSON,
    text=("notes",),
)

# The same page, of each row only what tells whether it was changed: PostgreSQL marks every version of a row with the
# transaction that wrote it.
_MARKS = """
    SELECT array_agg(id) AS ids, array_agg(mark) AS marks FROM (
        SELECT id, xmin AS mark FROM annotations
        WHERE (project_id, id) > ($1, $2::bigint) AND (project_id, id) <= ($1, 9223372036854775807)
        ORDER BY project_id, id LIMIT $3 OFFSET $4
    ) page
"""

_BY_IDS = page_bytes.page(
    f"SELECT {_STORED}, xmin AS mark FROM annotations WHERE project_id = $1 AND id = ANY($2::bigint[]) ORDER BY id",
    "id",
    kept=(*_PLAIN, "mark"),
    json=_JSON,
    text=("notes",),
)

# With the caller's access, since an image is opened more often than anything. A row at least where there is something
# to have access to; its `id` is NULL where nothing is drawn.
# "+ 0" keeps the planner from walking a whole project in the order of ids to find the few of one image.
_PAGE_OF_IMAGE = f"""
    SELECT {ACCESS}, {REVISION} AS revision, a.* {FOUND}
    LEFT JOIN LATERAL ({
    page_bytes.page(
        f'''
        SELECT {_STORED.replace("project_id, ", "")} FROM annotations
        WHERE project_id = p.id AND image_id = $3 AND id > $4
        ORDER BY id + 0 LIMIT $5 OFFSET $6
        ''',
        "id",
        kept=[column for column in _PLAIN if column != "project_id"],
        json=_JSON,
        text=("notes",),
    )
}) a ON true
    {WHERE_FOUND} ORDER BY a.id
"""

# A deletion is undone by creating the same again: `undo_key` leads from a new annotation to the deletions that it may
# undo. It is of a part of the shape that costs little to look at; what else is compared says `_EQUAL`.
_UNDO_MINUTES = 15  # contract, 15, undo
_LOOKED_AT = 50  # deletions of one key. Somebody may delete ten thousand equal ones, and each may have a megabyte
_DERIVED = "ARRAY['type', 'image_width', 'image_height', 'area']"  # from the shape; the frontend sends it or not


def _undo_key(row: str, project: str, user: str) -> str:
    """The expression, for a row and the person who deletes or creates it."""
    shape = f"{row}.geometry"
    return f"""
        hashtextextended(
            concat_ws('/', {project}, {user}, {row}.annotation_type, {row}.image_id),
            CASE WHEN {row}.annotation_type = 'no_object' THEN 0
                 ELSE jsonb_hash_extended(
                     coalesce({shape} -> 'bbox', {shape} -> 'points' -> 0, {shape} -> 'center', {shape} - {_DERIVED}), 0
                 ) END
        )
    """


# A deletion by the same person, not followed by anything, of what may come back. The inner query can be answered by one
# index alone: in a project that many write to, a quarter of an hour is thousands of entries.
def _undone(equal: str) -> str:
    """The query, for a row `d` that is equal where this condition holds."""
    return f"""
    SELECT h.annotation_id, h.revision, h.previous_state
    FROM (
        SELECT * FROM annotation_history WHERE undo_key = {_undo_key("d", "$1::text", "$2::int")}
        ORDER BY id DESC LIMIT {_LOOKED_AT}
    ) h
    CROSS JOIN LATERAL jsonb_populate_record(NULL::annotations, h.previous_state) p
    WHERE h.project_id = $1 AND h.changed_by = $2::int AND (p.created_by = $2::int OR $4)
      AND h.timestamp > statement_timestamp() - interval '{_UNDO_MINUTES} minutes'
      AND {equal}
      AND NOT EXISTS (SELECT FROM annotations a WHERE a.id = h.annotation_id)
      AND NOT EXISTS (SELECT FROM annotation_history l WHERE l.annotation_id = h.annotation_id AND l.id > h.id)
    ORDER BY h.id DESC LIMIT 1
"""


# What was not sent does not count; a class is always sent. Of a `no_object` only its task counts. Numbers are compared
# as numbers: 1.0 is 1.
_EQUAL = f"""
    p.image_id = d.image_id AND p.annotation_type = d.annotation_type AND p.task_type = d.task_type
    AND (d.confidence IS NULL OR p.confidence = d.confidence) AND (d.notes IS NULL OR p.notes = d.notes)
    AND CASE WHEN d.annotation_type = 'no_object' THEN p.attributes @> d.attributes ELSE
        p.geometry - {_DERIVED} = d.geometry - {_DERIVED}
        AND p.class_id IS NOT DISTINCT FROM d.class_id AND (d.class_name IS NULL OR p.class_name = d.class_name)
        AND (d.attributes = '{{}}' OR p.attributes = d.attributes) END
"""

# One statement decides whether the annotation is new or one that comes back, with its id and all that it was but its
# confirmation: the screen shows what was created as a draft. Where nothing comes back, `jsonb_populate_record` returns
# the new one as it is.
_INSERT = f"""
    WITH made AS (
        INSERT INTO annotations (
            id, project_id, image_id, annotation_type, task_type, geometry, attributes, class_id, class_name,
            confidence, notes, is_verified, annotation_state, created_by, created_at, updated_by, updated_at,
            confirmed_by, confirmed_at, version)
        SELECT coalesce(u.annotation_id, nextval('annotations_id_seq')), $1, r.image_id, r.annotation_type, r.task_type,
            r.geometry, r.attributes, r.class_id, r.class_name, r.confidence, r.notes, coalesce(r.is_verified, false),
            d.annotation_state, coalesce(r.created_by, $2::int), coalesce(r.created_at, statement_timestamp()),
            CASE WHEN u.annotation_id IS NOT NULL THEN $2::int END, statement_timestamp(),
            CASE WHEN d.annotation_state = 'confirmed' THEN $2::int END,
            CASE WHEN d.annotation_state = 'confirmed' THEN statement_timestamp() END,
            coalesce(u.revision, 0) + 1
        FROM jsonb_populate_record(NULL::annotations, $3::jsonb) d
        LEFT JOIN LATERAL ({_undone(_EQUAL)}) u ON true
        CROSS JOIN LATERAL jsonb_populate_record(d, u.previous_state) r
        RETURNING *
    ),
    logged AS (
        INSERT INTO annotation_history
            (annotation_id, project_id, image_id, action, new_state, changed_by, timestamp, revision)
        SELECT m.id, m.project_id, m.image_id, CASE WHEN m.version = 1 THEN 'create' ELSE 'restore' END, to_jsonb(m),
               $2::int, statement_timestamp(), m.version
        FROM made m
    )
    SELECT {COLUMNS} FROM made
"""

# The task of the `no_object` that comes back, or the project's only one.
_TASK = f"""
    SELECT coalesce(
        (SELECT u.previous_state ->> 'task_type'
         FROM (SELECT 'no_object' AS annotation_type, $3::text AS image_id, NULL::jsonb AS geometry) d
         CROSS JOIN LATERAL ({_undone("p.image_id = $3 AND p.annotation_type = 'no_object'")}) u),
        (SELECT task_types[1] FROM annotation_projects WHERE id = $1 AND cardinality(task_types) = 1)
    )
"""

# `old` is the row as the statement found it, even after its update: nobody else writes while the image is locked,
# and a lock on the row here would be of the updated one, and `old` empty.
# $2 the version that the caller saw or NULL, $3 the changed columns: jsonb_populate_record keeps the others.
_UPDATE = f"""
    WITH old AS MATERIALIZED (SELECT * FROM annotations WHERE id = $1),
    wanted AS (
        SELECT n.* FROM annotations a CROSS JOIN LATERAL jsonb_populate_record(a, $3::jsonb) n WHERE a.id = $1
    ),
    new AS (
        UPDATE annotations a
        SET geometry = w.geometry, class_id = w.class_id, class_name = w.class_name, attributes = w.attributes,
            confidence = w.confidence, is_verified = w.is_verified, notes = w.notes,
            version = a.version + 1, updated_by = $4, updated_at = statement_timestamp()
        FROM wanted w
        WHERE a.id = $1 AND ($2::int IS NULL OR a.version = $2)
        RETURNING a.*
    ),
    logged AS (
        INSERT INTO annotation_history
            (annotation_id, project_id, image_id, action, previous_state, new_state, changed_by, timestamp, revision)
        SELECT n.id, n.project_id, n.image_id, 'update', to_jsonb(o), to_jsonb(n), $4, statement_timestamp(), n.version
        FROM new n JOIN old o USING (id)
    )
    SELECT {COLUMNS} FROM new
"""

_DELETE = f"""
    WITH gone AS (
        DELETE FROM annotations a WHERE a.id = $1 AND ($2::int IS NULL OR a.version = $2)
        RETURNING a.*
    ),
    logged AS (
        INSERT INTO annotation_history
            (annotation_id, project_id, image_id, action, previous_state, changed_by, timestamp, revision, undo_key)
        SELECT g.id, g.project_id, g.image_id, 'delete', to_jsonb(g), $3::int, statement_timestamp(), g.version + 1,
               {_undo_key("g", "g.project_id", "$3::int")}
        FROM gone g
    )
    SELECT {COLUMNS} FROM gone
"""


async def view(connection: ReadConnection, reference: str, user_id: int) -> Row | None:
    """Return the user's access and the project's `revision`."""
    return await connection.fetchrow(_VIEW, reference, user_id)


async def find(connection: ReadConnection, annotation_id: int) -> Row | None:
    """Return an annotation, or None."""
    return await connection.fetchrow(_FIND, annotation_id)


async def page(
    connection: ReadConnection, project_id: str, after_id: int, limit: int, skip: int
) -> tuple[list[Row], bool]:
    """Return annotations of a project by id, each with the `mark` of this version of it; and whether bytes ended it."""
    return page_bytes.taken(await connection.fetch(_PAGE, project_id, after_id, limit, skip))


async def marks(connection: ReadConnection, project_id: str, after_id: int, limit: int, skip: int) -> dict[int, int]:
    """Return the marks of the same annotations by their ids, in the order of the page."""
    row = await connection.fetchrow(_MARKS, project_id, after_id, limit, skip)
    return dict(zip(row["ids"], row["marks"], strict=True)) if row is not None and row["ids"] else {}


async def by_ids(connection: ReadConnection, project_id: str, ids: Sequence[int]) -> tuple[list[Row], bool]:
    """Return these annotations with their marks; those that are gone are missing. True: some are, for their bytes."""
    return page_bytes.taken(await connection.fetch(_BY_IDS, project_id, list(ids)))


async def page_of_image(
    connection: ReadConnection, reference: str, user_id: int, image_id: str, *, after_id: int, limit: int, skip: int
) -> list[Row]:
    """Return the annotations of an image by id, each with the user's access and the project's `revision`.

    `fits` is false on a last row that only tells that the page ended before it.
    """
    return await connection.fetch(_PAGE_OF_IMAGE, reference, user_id, image_id, after_id, limit, skip)


async def insert(tx: WriteTransaction, project_id: str, user_id: int, draft: str, *, of_others: bool) -> Row:
    """Insert an annotation, an `AnnotationDraft` as JSON, with its first revision.

    One that equals what the same person deleted a short while ago is that one again, with its id and its history.
    `of_others`: also where somebody else had made it.
    """
    row = await tx.fetchrow(_INSERT, project_id, user_id, draft, of_others)
    assert row is not None  # noqa: S101 - it inserts one row
    return row


async def task_of_undone(
    tx: WriteTransaction, project_id: str, user_id: int, image_id: str, *, of_others: bool
) -> str | None:
    """Return the task of the `no_object` on the image that `insert` would bring back, else the project's only task."""
    task: str | None = await tx.fetchval(_TASK, project_id, user_id, image_id, of_others)
    return task


async def update(
    tx: WriteTransaction, annotation_id: int, version: int | None, change: str, user_id: int
) -> Row | None:
    """Change an annotation whose version is the given one; None when it is not, or when the annotation is gone.

    `change` is a JSON object of columns and their new values.
    """
    return await tx.fetchrow(_UPDATE, annotation_id, version, change, user_id)


async def delete(tx: WriteTransaction, annotation_id: int, version: int | None, user_id: int) -> Row | None:
    """Delete an annotation whose version is the given one; None when it is not, or when the annotation is gone."""
    return await tx.fetchrow(_DELETE, annotation_id, version, user_id)
