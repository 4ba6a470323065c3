"""SQL of versions.

A row whose `version_type` is `publishing` or `discarded` is an attempt, not a version: it holds its number and its
snapshot, and nobody is shown it.
"""

# ruff: noqa: S608 - the statements are put together from constants

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

from labeler_api.db import page_bytes
from labeler_api.db.pool import ReadConnection, Row, Snapshot, WriteTransaction
from labeler_api.members.authorization.access import reading
from labeler_api.versions.files.store import CHOSEN, IMAGE, SIZES, summary

_PLAIN = (
    *("id", "project_id", "task_type", "version_number", "version_type", "created_at", "created_by"),
    *("annotation_count", "image_count", "export_format"),
)
_TEXTS = ("description", "export_path")
_COLUMNS = ", ".join((*_PLAIN, *map(page_bytes.text_value, _TEXTS)))
_SHOWN = "version_type NOT IN ('publishing', 'discarded')"

# $3 and $4: from behind a version on.
_LIST = reading(
    page_bytes.page(
        f"""
        SELECT {", ".join((*_PLAIN, *_TEXTS))} FROM annotation_versions
        WHERE project_id = found.project_id AND {_SHOWN}
          AND ($3::timestamptz IS NULL OR (created_at, id) < ($3, $4::int))
        ORDER BY created_at DESC, id DESC LIMIT $5
        """,
        "created_at DESC, id DESC",
        kept=_PLAIN,
        text=_TEXTS,
    ),
    "read.created_at DESC, read.id DESC",
    also=f"(SELECT count(*)::int FROM annotation_versions v WHERE v.project_id = p.id AND {_SHOWN}) AS total",
)

_PRESENT = """
    SELECT p.task_types,
           EXISTS (SELECT FROM annotations a
                   WHERE a.project_id = p.id AND a.task_type = ANY ($2::varchar[])) AS has_any,
           EXISTS (SELECT FROM annotations a
                   WHERE a.project_id = p.id AND a.task_type = ANY ($2::varchar[])
                       AND a.annotation_state <> 'draft') AS has_confirmed
    FROM annotation_projects p WHERE p.id = $1
"""

_DROP_ABANDONED = """
    DELETE FROM annotation_versions
    WHERE project_id = $1 AND version_type IN ('publishing', 'discarded')
        AND created_at < clock_timestamp() - $2::interval
"""

# $3 is the number asked for. Without one: the first major number that is free, counted from the one after the most
# recently created version. The unique index has the last word: no row comes back for a number that is taken.
_RESERVE = """
    WITH taken AS (
        SELECT id, version_number, version_type, created_at
        FROM annotation_versions WHERE project_id = $1 AND task_type = $2
    ), latest AS (
        SELECT version_number FROM taken WHERE version_type = 'published' ORDER BY created_at DESC, id DESC LIMIT 1
    ), first AS (
        SELECT 1 + COALESCE((
            SELECT substring(version_number FROM '^[vV]?([0-9]{1,9})(?:[.][0-9.]*)?$')::bigint FROM latest
        ), 0) AS major
    ), free AS (
        SELECT 'v' || candidate || '.0' AS number
        FROM first, generate_series(first.major, first.major + (SELECT count(*) FROM taken)) AS candidate
        WHERE 'v' || candidate || '.0' NOT IN (SELECT version_number FROM taken)
        ORDER BY candidate LIMIT 1
    )
    INSERT INTO annotation_versions
        (project_id, task_type, version_number, version_type, created_at, created_by, description, export_format)
    SELECT $1, $2, COALESCE($3, (SELECT number FROM free)), 'publishing', clock_timestamp(), $4, $5, $6
    ON CONFLICT (project_id, task_type, version_number) DO NOTHING
    RETURNING id, version_number, created_at
"""


def rows_of(source: str) -> str:
    """SQL of the rows of a version; `source` selects its `id` and `snapshot_ids`.

    Each part is a query of its own that the planner cannot turn round, and asks for a range: of an equality the planner
    thinks what the versions of others are like, and reads the whole table where those are large.
    """
    return f"""
    WITH source AS ({source})
    SELECT stored.* FROM source
    CROSS JOIN LATERAL unnest(source.snapshot_ids) AS ids
    CROSS JOIN LATERAL (
        SELECT id, annotation_id, snapshot_data FROM annotation_snapshots
        WHERE id >= lower(ids) AND id < upper(ids) OFFSET 0
    ) AS stored
    UNION ALL
    SELECT stored.* FROM source
    CROSS JOIN LATERAL (
        SELECT id, annotation_id, snapshot_data FROM annotation_snapshots
        WHERE version_id BETWEEN source.id AND source.id AND source.snapshot_ids IS NULL OFFSET 0
    ) AS stored
    """


# One statement sees one state of the database: annotations, sizes, confirmations and classes belong together.
# Rows that equal, byte for byte, those of the latest version of the same kind (with drafts or without) are referred to
# and not copied.
# `*=` compares bytes: `=` takes 1.0 for 1, and the files would differ. Neighbouring ids become one range.
_FREEZE = f"""
    WITH {SIZES}, latest AS ({
    rows_of('''
        SELECT id, snapshot_ids FROM annotation_versions
        WHERE project_id = $1 AND task_type = $5 AND version_type = 'published'
        ORDER BY includes_drafts IS NOT DISTINCT FROM $4 DESC, id DESC LIMIT 1
    ''')
}), chosen AS MATERIALIZED (
        SELECT now.annotation_id, latest.id AS kept_id, CASE WHEN latest.id IS NULL THEN now.content END AS content,
               now.image_id, now.annotation_type, now.class_id, now.class_name, now.created_by, now.confirmed_by
        FROM (
            SELECT a.id AS annotation_id, to_jsonb(a) || jsonb_build_object('image', {IMAGE}) AS content,
                   a.image_id, a.annotation_type, a.class_id, a.class_name, a.created_by, a.confirmed_by
            {CHOSEN} OFFSET 0
        ) AS now
        LEFT JOIN latest ON latest.annotation_id = now.annotation_id
            AND ROW(latest.snapshot_data)::record *= ROW(now.content)::record
    ), copied AS (
        INSERT INTO annotation_snapshots (version_id, annotation_id, snapshot_data)
        SELECT $6, annotation_id, content FROM chosen WHERE kept_id IS NULL
        RETURNING id
    ), ids AS (
        SELECT kept_id AS id FROM chosen WHERE kept_id IS NOT NULL UNION ALL SELECT id FROM copied
    ), runs AS (
        SELECT int8range(min(id), max(id), '[]') AS run
        FROM (SELECT id, id - row_number() OVER (ORDER BY id) AS number FROM ids) AS numbered GROUP BY number
    ), noted AS (
        UPDATE annotation_versions
        SET includes_drafts = $4, snapshot_ids = (SELECT COALESCE(range_agg(run), '{{}}') FROM runs) WHERE id = $6
    )
    {summary("$5")}
"""

# Hash joins read each table once. The planner's statistics are old after a large upload or import, and the nested
# loops that it then takes for small tables read the images once for every annotation.
_NO_NESTED_LOOPS = "SET LOCAL enable_nestloop = off"

OF_VERSION = rows_of("SELECT id, snapshot_ids FROM annotation_versions WHERE id = $1")

# By code point, whatever the database's collation is: the order is part of the files.
_FROZEN = f"""
    SELECT snapshot_data::text AS annotation FROM ({OF_VERSION}) AS rows
    ORDER BY snapshot_data ->> 'image_id' COLLATE "C", annotation_id
"""

_FROZEN_IMAGES = f"""
    SELECT snapshot_data ->> 'image_id' AS image_id, (snapshot_data -> 'image')::text AS image,
           snapshot_data ->> 'annotation_type' AS annotation_type, snapshot_data ->> 'class_id' AS class_id
    FROM ({OF_VERSION}) AS rows
    ORDER BY snapshot_data ->> 'image_id' COLLATE "C", annotation_id
"""

_FROZEN_UNSIZED = f"""
    SELECT DISTINCT snapshot_data ->> 'image_id' COLLATE "C" AS image_id
    FROM ({OF_VERSION}) AS rows
    WHERE snapshot_data ->> 'annotation_type' NOT IN ('classification', 'no_object')
        AND snapshot_data @@ '$.image.width <= 0 || $.image.height <= 0'
    ORDER BY 1 LIMIT $2
"""

_BUMP_PROJECT = "UPDATE annotation_projects SET revision = revision + 1 WHERE id = $1"

_PUBLISH = f"""
    UPDATE annotation_versions
    SET version_type = 'published', annotation_count = $2, image_count = $3, export_path = $4, file_size_bytes = $5,
        content_sha256 = $6
    WHERE id = $1 AND version_type = 'publishing'
    RETURNING {_COLUMNS}
"""

_GIVE_UP = "UPDATE annotation_versions SET version_type = 'discarded' WHERE id = $1 AND version_type = 'publishing'"

_REMOVE = "DELETE FROM annotation_versions WHERE id = $1 AND version_type = 'discarded'"

_LABEL_DATASET = """
    UPDATE datasets SET labeled = true, annotation_path = $2, updated_at = clock_timestamp() WHERE id = $1
    RETURNING (SELECT version_number FROM annotation_versions
               WHERE project_id = $3 AND task_type = $4 AND version_type = 'published'
               ORDER BY created_at DESC, id DESC LIMIT 1) AS latest
"""

_FILE = """
    SELECT v.project_id, v.task_type, v.version_number, v.export_format, v.export_path,
           v.file_size_bytes, v.content_sha256, p.name AS project_name
    FROM annotation_versions v JOIN annotation_projects p ON p.id = v.project_id
    WHERE v.id = $1 AND v.version_type = 'published'
"""


async def page(
    connection: ReadConnection, reference: str, user_id: int, *, after: tuple[datetime, int] | None, limit: int
) -> tuple[Row | None, list[Row], bool]:
    """Return the user's access and the `total` of versions; versions, the newest first; if bytes ended the page."""
    found = await connection.fetch(_LIST, reference, user_id, *(after or (None, None)), limit)
    rows, is_cut = page_bytes.taken([row for row in found if row["id"] is not None])
    return found[0] if found else None, rows, is_cut


async def present(tx: WriteTransaction, project_id: str, task_types: Sequence[str]) -> Row | None:
    """Return a project's tasks, and whether there are (confirmed) annotations of the task asked for."""
    return await tx.fetchrow(_PRESENT, project_id, list(task_types))


async def drop_abandoned(tx: WriteTransaction, project_id: str, age: timedelta) -> None:
    """Remove attempts that nobody can be working on any more, so that their numbers are free."""
    await tx.execute(_DROP_ABANDONED, project_id, age)


async def reserve(
    tx: WriteTransaction,
    *,
    project_id: str,
    task_type: str,
    version_number: str | None,
    created_by: int,
    description: str | None,
    export_format: str,
) -> Row | None:
    """Begin an attempt; None when its number is taken. The project must be locked."""
    return await tx.fetchrow(_RESERVE, project_id, task_type, version_number, created_by, description, export_format)


async def freeze(
    tx: WriteTransaction,
    version_id: int,
    *,
    project_id: str,
    dataset_id: str,
    task_type: str,
    stored_types: Sequence[str],
    include_draft: bool,
) -> Row | None:
    """Copy what is new into the snapshot, name the rest, and return what files say once and whom they name."""
    await tx.execute(_NO_NESTED_LOOPS)
    return await tx.fetchrow(
        _FREEZE,
        project_id,
        dataset_id,
        list(stored_types),
        include_draft,
        task_type,
        version_id,
    )


def frozen(snapshot: Snapshot, version_id: int) -> AsyncIterator[str]:
    """Yield the frozen annotations as JSON, in the order of the files."""
    return snapshot.texts(_FROZEN, version_id)


def frozen_images(snapshot: Snapshot, version_id: int) -> AsyncIterator[Row]:
    """Yield the image of each frozen annotation in the order of the files."""
    return snapshot.cursor(_FROZEN_IMAGES, version_id)


async def frozen_unsized(snapshot: Snapshot, version_id: int, limit: int) -> list[str]:
    """Return ids of images that have regions and no known size, up to a limit."""
    return [row["image_id"] for row in await snapshot.fetch(_FROZEN_UNSIZED, version_id, limit)]


async def publish(
    tx: WriteTransaction,
    version_id: int,
    *,
    project_id: str,
    annotation_count: int,
    image_count: int,
    export_path: str,
    file_size_bytes: int,
    content_sha256: str,
) -> Row | None:
    """Turn the attempt into a version; None when it is one no more. The project's revision goes up with it."""
    await tx.execute(_BUMP_PROJECT, project_id)
    return await tx.fetchrow(
        _PUBLISH, version_id, annotation_count, image_count, export_path, file_size_bytes, content_sha256
    )


async def give_up(tx: WriteTransaction, version_id: int) -> bool:
    """Keep an attempt from ever becoming a version, its number still held; False when it is one, or is gone."""
    return await tx.execute(_GIVE_UP, version_id) > 0


async def remove(tx: WriteTransaction, version_id: int) -> None:
    """Remove an attempt that was given up, with its snapshot."""
    await tx.execute(_REMOVE, version_id)


async def label_dataset(
    tx: WriteTransaction, dataset_id: str, annotation_path: str, project_id: str, task_type: str
) -> str | None:
    """Note that the dataset is labeled, and where; return the number of the task's latest version."""
    number: str | None = await tx.fetchval(_LABEL_DATASET, dataset_id, annotation_path, project_id, task_type)
    return number


async def file(connection: ReadConnection, version_id: int) -> Row | None:
    """Find a version's file."""
    return await connection.fetchrow(_FILE, version_id)
