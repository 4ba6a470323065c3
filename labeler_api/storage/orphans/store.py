"""SQL of the list of orphans: what a sweep has found, and since when."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from labeler_api.db.pool import ReadConnection, Row, WriteTransaction

_BEGIN = "SELECT clock_timestamp() AS now, (SELECT count(*) FROM orphaned_objects) AS listed"

# Objects that are on the list keep the time when they were first found. An object that was written again since has
# another version or another time, so it is another row.
_NOTE = """
    WITH given AS (
        SELECT $1::varchar AS bucket, g.*
        FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::boolean[], $6::bigint[], $7::text[])
            AS g (key, version, last_modified, unfinished, size, reason)
    ),
    again AS (
        UPDATE orphaned_objects o SET seen_at = clock_timestamp(), reason = g.reason FROM given g
        WHERE o.bucket = g.bucket AND o.key = g.key AND o.version = g.version AND o.last_modified = g.last_modified
        RETURNING o.key, o.version, o.last_modified
    ),
    fresh AS (
        INSERT INTO orphaned_objects (bucket, key, version, last_modified, unfinished, size, reason)
        SELECT bucket, key, version, last_modified, unfinished, size, reason FROM given g
        WHERE NOT EXISTS (SELECT FROM again a WHERE a.key = g.key AND a.version = g.version
                              AND a.last_modified = g.last_modified)
        LIMIT $8
        ON CONFLICT ON CONSTRAINT orphaned_objects_pkey DO UPDATE SET seen_at = clock_timestamp()
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM again) AS again, (SELECT count(*) FROM fresh) AS fresh
"""

_FORGET = "DELETE FROM orphaned_objects WHERE seen_at < $1 AND last_modified <= $2"

_DUE_COUNTS = """
    SELECT bucket, count(*) AS objects FROM orphaned_objects
    WHERE seen_at >= $1 AND found_at <= clock_timestamp() - $2::interval GROUP BY bucket
"""

_WAITING = """
    SELECT count(*) AS objects, min(found_at) + $2::interval AS next_at FROM orphaned_objects
    WHERE seen_at >= $1 AND found_at > clock_timestamp() - $2::interval
"""

_DUE = """
    SELECT bucket, key, version, last_modified, unfinished, size FROM orphaned_objects
    WHERE seen_at >= $1 AND found_at <= clock_timestamp() - $2::interval AND bucket = $3 AND unfinished = $4
    ORDER BY key, version, last_modified LIMIT $5
"""

_DROP = """
    DELETE FROM orphaned_objects o
    USING unnest($2::text[], $3::text[], $4::timestamptz[]) AS g (key, version, last_modified)
    WHERE o.bucket = $1 AND o.key = g.key AND o.version = g.version AND o.last_modified = g.last_modified
"""


async def begin(connection: ReadConnection) -> tuple[datetime, int]:
    """Return the database's time, from which on a sweep notes what it sees, and how many objects are on the list."""
    row = await connection.fetchrow(_BEGIN)
    assert row is not None  # noqa: S101 - one row always
    return row["now"], row["listed"]


async def note(tx: WriteTransaction, bucket: str, rows: Sequence[tuple[object, ...]], room: int) -> tuple[int, int]:
    """Put (key, version, last_modified, unfinished, size, reason) on the list, `room` new ones at most.

    Return how many were on it, and how many are new.
    """
    columns = [list(column) for column in zip(*rows, strict=True)]
    row = await tx.fetchrow(_NOTE, bucket, *columns, room)
    assert row is not None  # noqa: S101 - one row always
    return row["again"], row["fresh"]


async def forget(tx: WriteTransaction, begun_at: datetime, judged_until: datetime) -> int:
    """Take off the list what a whole sweep has judged and not found again; it is in use, or gone."""
    return await tx.execute(_FORGET, begun_at, judged_until)


async def due_counts(connection: ReadConnection, begun_at: datetime, waiting: timedelta) -> dict[str, int]:
    """Count, of each bucket, what this sweep has seen and one so long ago had found."""
    return {row["bucket"]: row["objects"] for row in await connection.fetch(_DUE_COUNTS, begun_at, waiting)}


async def waiting(connection: ReadConnection, begun_at: datetime, wait: timedelta) -> tuple[int, datetime | None]:
    """Count what this sweep has seen and that has to wait, and return when the first of it may go."""
    row = await connection.fetchrow(_WAITING, begun_at, wait)
    assert row is not None  # noqa: S101 - an aggregate always gives a row
    return row["objects"], row["next_at"]


async def due(
    connection: ReadConnection, begun_at: datetime, wait: timedelta, bucket: str, *, unfinished: bool, at_most: int
) -> list[Row]:
    """Return some of what may go, objects or uploads in parts, in the order of the keys."""
    return await connection.fetch(_DUE, begun_at, wait, bucket, unfinished, at_most)


async def drop(tx: WriteTransaction, bucket: str, rows: Sequence[Row]) -> None:
    """Take rows off the list."""
    columns = [[row[name] for row in rows] for name in ("key", "version", "last_modified")]
    await tx.execute(_DROP, bucket, *columns)


# Besides the dataset itself: one that lies in its folder, and an image of another one that does, which legacy data may
# have. The two statements that read every image are only for what would be removed otherwise, so they are rare.
_FOLDER_IN_USE = """
    SELECT EXISTS (SELECT FROM datasets WHERE id = $1::varchar)
        OR EXISTS (SELECT FROM datasets WHERE starts_with(storage_path, 'datasets/' || $1 || '/'))
        OR EXISTS (SELECT FROM image_metadata WHERE starts_with(s3_key, 'datasets/' || $1 || '/'))
        OR EXISTS (SELECT FROM deleted_images WHERE starts_with(s3_key, 'datasets/' || $1 || '/'))
"""

_HELD = """
    SELECT s3_key AS key FROM image_metadata WHERE dataset_id = $1 AND s3_key = ANY ($2::text[])
    UNION ALL
    SELECT thumbnail_key FROM image_metadata WHERE dataset_id = $1 AND thumbnail_key = ANY ($2::text[])
    UNION ALL
    SELECT rendition_key FROM image_metadata WHERE dataset_id = $1 AND rendition_key = ANY ($2::text[])
"""

# Objects that wait for their removal are no orphans (labeler_api.images.removal). Neither are objects of a deleted
# image that can still be restored.
_HELD_ANYWHERE = """
    SELECT s3_key AS key FROM image_metadata WHERE s3_key = ANY ($1::text[])
    UNION ALL
    SELECT thumbnail_key FROM image_metadata WHERE thumbnail_key = ANY ($1::text[])
    UNION ALL
    SELECT rendition_key FROM image_metadata WHERE rendition_key = ANY ($1::text[])
    UNION ALL
    SELECT s3_key FROM deleted_images WHERE s3_key = ANY ($1::text[])
    UNION ALL
    SELECT thumbnail_key FROM deleted_images WHERE thumbnail_key = ANY ($1::text[])
    UNION ALL
    SELECT rendition_key FROM deleted_images WHERE rendition_key = ANY ($1::text[])
    UNION ALL
    SELECT waiting.key
    FROM pgqueuer q, jsonb_array_elements_text(convert_from(q.payload, 'UTF8')::jsonb -> 'keys') AS waiting (key)
    WHERE q.entrypoint = 'images.removal' AND waiting.key = ANY ($1::text[])
"""

_PROJECTS = "SELECT id FROM annotation_projects WHERE id = ANY ($1::text[])"

_VERSIONS = """
    SELECT v.project_id, v.task_type, v.version_number
    FROM annotation_versions v
    JOIN (SELECT DISTINCT * FROM unnest($1::text[], $2::text[], $3::text[]) AS g (project_id, task_type, number)) g
        ON v.project_id = g.project_id AND v.task_type = g.task_type AND v.version_number = g.number
"""


async def folder_in_use(connection: ReadConnection, dataset_id: str) -> bool:
    """Whether anything in the database refers to the folder of a dataset."""
    used: bool = await connection.fetchval(_FOLDER_IN_USE, dataset_id)
    return used


async def held(connection: ReadConnection, dataset_id: str, keys: Sequence[str]) -> set[str]:
    """Return those of the keys that an image of the dataset has, as its own, its thumbnail's or its rendition's."""
    return {row["key"] for row in await connection.fetch(_HELD, dataset_id, list(keys))}


async def held_anywhere(connection: ReadConnection, keys: Sequence[str]) -> set[str]:
    """Return those of the keys that an image of any dataset has, or that are removed soon in any case."""
    return {row["key"] for row in await connection.fetch(_HELD_ANYWHERE, list(keys))}


async def projects(connection: ReadConnection, ids: Sequence[str]) -> set[str]:
    """Return those of the projects that are there."""
    return {row["id"] for row in await connection.fetch(_PROJECTS, list(ids))}


async def versions(connection: ReadConnection, wanted: Sequence[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
    """Return those (project, task, version number) that are there, as versions or as attempts to publish one."""
    columns = [list(column) for column in zip(*wanted, strict=True)]
    rows = await connection.fetch(_VERSIONS, *columns)
    return {(row["project_id"], row["task_type"], row["version_number"]) for row in rows}
