"""SQL of annotations. Every write is one statement that writes the revision, too.

A revision holds the whole row before and after, as `to_jsonb` writes it, so that any of them can be restored.
Writers of one project take turns: `members.service.lock_project` comes first in every write transaction. The time of a
write is `statement_timestamp()`, and not the transaction's, which may have begun before another writer's turn.
"""

# ruff: noqa: S608 - the only text put into the statements is the list of columns below

from collections.abc import Sequence

from labeler_api.db import page_bytes
from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.members.access import COLUMNS as ACCESS
from labeler_api.members.access import FOUND, WHERE_FOUND

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
_VIEW = f"SELECT {ACCESS}, p.revision {FOUND} {WHERE_FOUND}"

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
    SELECT {ACCESS}, p.revision, a.* {FOUND}
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

# New annotations of a project, each with its first revision: of a statement that goes on to SELECT from `made`.
MADE = """
    made AS (
        INSERT INTO annotations (
            project_id, image_id, annotation_type, task_type, geometry, attributes, class_id, class_name,
            confidence, notes, annotation_state, created_by, created_at, updated_at, confirmed_by, confirmed_at)
        SELECT $1, d.image_id, d.annotation_type, d.task_type, d.geometry, d.attributes, d.class_id, d.class_name,
            d.confidence, d.notes, d.annotation_state, $2::int, statement_timestamp(), statement_timestamp(),
            CASE WHEN d.annotation_state = 'confirmed' THEN $2::int END,
            CASE WHEN d.annotation_state = 'confirmed' THEN statement_timestamp() END
        FROM jsonb_populate_recordset(NULL::annotations, $3::jsonb) WITH ORDINALITY AS d
        ORDER BY d.ordinality
        RETURNING *
    ),
    logged AS (
        INSERT INTO annotation_history
            (annotation_id, project_id, image_id, action, new_state, changed_by, timestamp, revision)
        SELECT m.id, m.project_id, m.image_id, 'create', to_jsonb(m), $2::int, statement_timestamp(), m.version
        FROM made m ORDER BY m.id
    )
"""

_INSERT = f"WITH {MADE} SELECT {COLUMNS} FROM made ORDER BY id"

# `old` is the row as the statement found it, even after its update: nobody else writes while the project is locked,
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
            (annotation_id, project_id, image_id, action, previous_state, changed_by, timestamp, revision)
        SELECT g.id, g.project_id, g.image_id, 'delete', to_jsonb(g), $3, statement_timestamp(), g.version + 1
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


async def insert(tx: WriteTransaction, project_id: str, user_id: int, drafts: str) -> list[Row]:
    """Insert annotations, a JSON list of `AnnotationDraft`, in their order; each with its first revision."""
    return await tx.fetch(_INSERT, project_id, user_id, drafts)


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
