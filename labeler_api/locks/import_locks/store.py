"""SQL of the marks on images that an import is at work on.

A mark is committed before the import writes anything, and holds for as long as the import's transaction is under way:
its number is part of the mark, and every snapshot tells which transactions have ended. So a mark ends at the very
moment at which the import is committed, rolled back, or gone with its process. Nobody has to take it away for that.

A writer that claims an image reads the marks in the same statement. If it read them before the mark was there, and got
the image afterwards, it sees the mark when it updates the image's status (`refresh_progress_1`). The import waits for
writers that have an image already, in the order in which images are claimed.
"""

from collections.abc import Sequence

from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.locks.image_locks.lease import LIVE
from labeler_api.projects.import_at_work import AT_WORK

_MARK = """
    INSERT INTO importing_images (project_id, image_id, import_id, user_id, started_at)
    SELECT $1, image_id, $2, $3, clock_timestamp() FROM unnest($4::text[]) AS image_id
    ON CONFLICT DO NOTHING
"""

_MARK_ANNOTATED = """
    INSERT INTO importing_images (project_id, image_id, import_id, user_id, started_at)
    SELECT DISTINCT $1, image_id, $2::bigint, $3::int, clock_timestamp() FROM annotations WHERE project_id = $1
    ON CONFLICT DO NOTHING
"""

# Of a dataset that statistics do not know, or with a plan as old as its connection, PostgreSQL takes any index of the
# dataset, and reads all of its images for each of them. The order has the primary key only, and nothing may be sorted.
# Of a value it would mean nothing: so the id is a range.
_BY_KEY = "SET LOCAL enable_sort = off"
_WAIT = """
    SELECT count(*) = count(image.id) FROM (
        SELECT m.image_id FROM importing_images m WHERE m.project_id = $1 AND m.import_id = $2 ORDER BY m.image_id
    ) marked
    LEFT JOIN LATERAL (
        SELECT id FROM image_metadata WHERE dataset_id = $3 AND id BETWEEN marked.image_id AND marked.image_id
        ORDER BY id LIMIT 1 FOR NO KEY UPDATE
    ) image ON true
"""

# From the locks of others, of which there are few, to the marks: each of them is one look at the primary key.
_HELD = f"""
    SELECT l.image_id, l.user_id, l.locked_at, l.expires_at, l.heartbeat_at
    FROM image_locks l
    CROSS JOIN LATERAL (
        SELECT FROM importing_images m
        WHERE m.project_id = $1 AND m.image_id = l.image_id AND m.import_id = $2 LIMIT 1
    ) marked
    WHERE l.project_id = $1 AND l.user_id <> $3 AND l.{LIVE}
    ORDER BY l.image_id LIMIT 1
"""  # noqa: S608 - a condition of ours

_HELD_BY_OTHERS = f"""
    SELECT image_id, user_id, locked_at, expires_at, heartbeat_at FROM image_locks
    WHERE project_id = $1 AND user_id <> $2 AND {LIVE} AND image_id = ANY($3::text[])
    ORDER BY image_id LIMIT 1
"""  # noqa: S608 - a condition of ours

# $3: every other import of the project counts, and not only one that is at work on the same images.
_OTHER_IMPORT = f"""
    SELECT m.user_id, m.started_at FROM importing_images m
    WHERE m.project_id = $1 AND m.import_id <> $2 AND {AT_WORK}
      AND ($3::boolean OR EXISTS (
          SELECT FROM importing_images mine
          WHERE mine.project_id = $1 AND mine.image_id = m.image_id AND mine.import_id = $2))
    LIMIT 1
"""  # noqa: S608 - a condition of ours

_FIND = f"""
    SELECT m.image_id, m.user_id, m.started_at AS locked_at, clock_timestamp() AS heartbeat_at,
           clock_timestamp() + interval '1 minute' AS expires_at
    FROM importing_images m
    WHERE m.project_id = $1 AND m.image_id = ANY($2::text[]) AND {AT_WORK}
    ORDER BY m.image_id
"""  # noqa: S608 - a condition of ours

# What somebody else takes away at this moment is left to them.
_SWEEP = f"""
    DELETE FROM importing_images WHERE ctid = ANY(ARRAY(
        SELECT m.ctid FROM importing_images m WHERE NOT ({AT_WORK}) FOR UPDATE SKIP LOCKED
    ))
"""  # noqa: S608 - a condition of ours


async def mark(tx: WriteTransaction, project_id: str, import_id: int, user_id: int, image_ids: Sequence[str]) -> None:
    """Mark images for an import."""
    await tx.execute(_MARK, project_id, import_id, user_id, list(image_ids))


async def mark_annotated(tx: WriteTransaction, project_id: str, import_id: int, user_id: int) -> None:
    """Mark every image that has annotations."""
    await tx.execute(_MARK_ANNOTATED, project_id, import_id, user_id)


async def wait_for_writers(tx: WriteTransaction, project_id: str, import_id: int, dataset_id: str) -> bool:
    """Lock each marked image once, so its writers have committed. Return whether all of them are there."""
    await tx.execute(_BY_KEY)
    all_there: bool = await tx.fetchval(_WAIT, project_id, import_id, dataset_id)
    return all_there


async def held_by_other(tx: WriteTransaction, project_id: str, import_id: int, user_id: int) -> Row | None:
    """Find a live lock of somebody else on an image that the import has marked."""
    return await tx.fetchrow(_HELD, project_id, import_id, user_id)


async def held_by_others(
    connection: ReadConnection, project_id: str, user_id: int, image_ids: Sequence[str]
) -> Row | None:
    """Find a live lock that somebody else has on one of the images."""
    return await connection.fetchrow(_HELD_BY_OTHERS, project_id, user_id, list(image_ids))


async def other_import(tx: WriteTransaction, project_id: str, import_id: int, *, whole: bool) -> Row | None:
    """Find another import that is at work on the same images, or, with `whole`, in the project."""
    return await tx.fetchrow(_OTHER_IMPORT, project_id, import_id, whole)


async def find(connection: ReadConnection, project_id: str, image_ids: Sequence[str]) -> list[Row]:
    """Return those of the images that an import is at work on, each as if the import held its lock."""
    return await connection.fetch(_FIND, project_id, list(image_ids))


async def sweep(tx: WriteTransaction) -> None:
    """Remove the marks of imports that have ended."""
    await tx.execute(_SWEEP)
