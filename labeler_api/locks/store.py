"""SQL of image locks. The database's clock decides what has expired, and one statement who holds an image."""

from collections.abc import Sequence

from labeler_api.db.pool import ReadConnection, Row, SingleStatement, WriteTransaction
from labeler_api.members.access import COLUMNS, FOUND, HELD, IS_HELD, WHERE_FOUND
from labeler_api.projects.at_work import AT_WORK

# `now` is read once, so that every expression of the statement decides alike; a lock that expires while the
# statement waits for another transaction counts as live, which refuses a claim and never doubles a holder.
# A row that exists is updated and not upserted: an upsert would take a number of the sequence each time.
# An hour after its end nobody asks about a lock any more. At most 100 rows, and none that somebody uses just now: a
# little of the project's litter goes with every claim, and no request pays for all of it.
# Images and locks are found one by one (LIMIT keeps a subquery from being turned into a join), and the litter once
# (ARRAY): this table changes faster than its statistics, and a plan made for what it was, empty, looked for the
# litter again at every lock of the table.
# A lock that was live and the caller's keeps its beginning, so `locked_at <> heartbeat_at` tells "refreshed".
# An image that an import is at work on is nobody else's, not even the importer's.
_CLAIM = f"""
    WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS now),
    swept AS (
        DELETE FROM image_locks WHERE id = ANY(ARRAY(
            SELECT id FROM image_locks
            WHERE project_id = $1 AND image_id <> ALL($3::text[]) AND expires_at < clock_timestamp() - interval '1 hour'
            LIMIT 100 FOR UPDATE SKIP LOCKED
        ))
    ),
    wanted AS MATERIALIZED (
        SELECT asked.image_id, found.id AS lock_id, import.user_id AS importer, import.started_at
        FROM (SELECT DISTINCT unnest($3::text[]) AS image_id ORDER BY image_id) asked
        CROSS JOIN LATERAL (
            SELECT FROM image_metadata i WHERE i.dataset_id = $2 AND i.id = asked.image_id LIMIT 1 FOR NO KEY UPDATE
        ) there
        LEFT JOIN LATERAL (
            SELECT l.id FROM image_locks l WHERE l.project_id = $1 AND l.image_id = asked.image_id LIMIT 1
        ) found ON true
        LEFT JOIN LATERAL (
            SELECT m.user_id, m.started_at FROM importing_images m
            WHERE m.project_id = $1 AND m.image_id = asked.image_id AND {AT_WORK} LIMIT 1
        ) import ON true
    ),
    renewed AS (
        UPDATE image_locks AS held SET
            user_id = $4,
            heartbeat_at = now,
            locked_at = CASE WHEN held.user_id = $4 AND held.expires_at > now THEN held.locked_at ELSE now END,
            lease_seconds = CASE WHEN held.user_id = $4 AND held.expires_at > now
                THEN greatest(held.lease_seconds, $5::int) ELSE $5::int END,
            expires_at = CASE WHEN held.user_id = $4 AND held.expires_at > now
                THEN greatest(held.expires_at, now + make_interval(secs => greatest(held.lease_seconds, $5::int)))
                ELSE now + make_interval(secs => $5::int) END
        FROM clock, wanted
        WHERE held.id = wanted.lock_id AND importer IS NULL AND (held.user_id = $4 OR held.expires_at <= now)
        RETURNING held.image_id, held.user_id, held.locked_at, held.expires_at, held.heartbeat_at
    ),
    made AS (
        INSERT INTO image_locks (project_id, image_id, user_id, locked_at, heartbeat_at, expires_at, lease_seconds)
        SELECT $1, image_id, $4, now, now, now + make_interval(secs => $5::int), $5::int
        FROM wanted, clock
        WHERE lock_id IS NULL AND importer IS NULL
        ORDER BY image_id
        ON CONFLICT ON CONSTRAINT uq_project_image_lock DO NOTHING
        RETURNING image_id, user_id, locked_at, expires_at, heartbeat_at
    ),
    claimed AS (SELECT * FROM renewed UNION ALL SELECT * FROM made)
    SELECT image_id, user_id, locked_at, expires_at, heartbeat_at,
           true AS mine, locked_at <> heartbeat_at AS refreshed, false AS importing
    FROM claimed
    UNION ALL
    SELECT l.image_id, l.user_id, l.locked_at, l.expires_at, l.heartbeat_at, false, false, false
    FROM wanted, image_locks l, clock
    WHERE l.id = wanted.lock_id AND importer IS NULL AND l.user_id <> $4 AND l.expires_at > now
      AND NOT EXISTS (SELECT FROM claimed c WHERE c.image_id = l.image_id)
    UNION ALL
    SELECT image_id, importer, started_at, now + interval '1 minute', now, false, false, true
    FROM wanted, clock WHERE importer IS NOT NULL
    ORDER BY image_id
"""  # noqa: S608 - a condition of ours
_ACQUIRE = "SELECT * FROM acquire_image_2($1, $2, $3, $4, $5, $6)"

# In the order of ids, so that no two writers of several images wait for each other.
_HOLD = f"""
    WITH {HELD}, images AS (
        SELECT one.id FROM (SELECT DISTINCT unnest($5::text[]) AS image_id ORDER BY image_id) asked
        CROSS JOIN LATERAL (
            SELECT id FROM image_metadata WHERE dataset_id = $4 AND id = asked.image_id LIMIT 1 FOR NO KEY UPDATE
        ) one
    )
    SELECT {IS_HELD} AS is_held, (SELECT count(*) FROM images) AS images, ARRAY(
        SELECT m.image_id FROM importing_images m
        WHERE m.project_id = $1 AND m.image_id = ANY($5::text[]) AND {AT_WORK}
    ) AS importing
"""  # noqa: S608 - constants

_HOLD_STATUSES = """
    SELECT count(held.id) FROM (
        SELECT id FROM image_annotation_status WHERE project_id = $1 AND image_id = ANY($2::text[])
        ORDER BY image_id, task_type FOR NO KEY UPDATE
    ) held
"""

_EXISTING = "SELECT id FROM image_metadata WHERE dataset_id = $1 AND id = ANY($2::text[])"

_RELEASE = """
    WITH mine AS (
        DELETE FROM image_locks WHERE project_id = $1 AND image_id = $2 AND user_id = $3
        RETURNING expires_at > clock_timestamp() AS live
    )
    SELECT CASE
        WHEN (SELECT live FROM mine) THEN 'released'
        WHEN EXISTS (
            SELECT FROM image_locks
            WHERE project_id = $1 AND image_id = $2 AND user_id <> $3 AND expires_at > clock_timestamp()
        ) THEN 'not_owner'
        ELSE 'not_locked' END AS status
"""

# A row always: the lock, or whether somebody else has one.
_HEARTBEAT = """
    WITH beat AS (
        UPDATE image_locks
        SET heartbeat_at = statement_timestamp(),
            expires_at = statement_timestamp() + make_interval(secs => $4::int),
            lease_seconds = $4::int
        WHERE project_id = $1 AND image_id = $2 AND user_id = $3 AND expires_at > clock_timestamp()
        RETURNING image_id, user_id, locked_at, expires_at, heartbeat_at
    )
    SELECT beat.*, EXISTS (
        SELECT FROM image_locks
        WHERE project_id = $1 AND image_id = $2 AND user_id <> $3 AND expires_at > clock_timestamp()
    ) AS is_held_by_other
    FROM (SELECT) always LEFT JOIN beat ON true
"""

# A person holds the image that they look at. Five thousand of them are a megabyte, which is polled every five seconds;
# whoever locks more than that by a program is not shown all of it, and is held to all of it.
_MOST_SHOWN = 5000

# With the caller's access, because every open annotation page asks every five seconds. A row at least where there is
# something to have access to; its `image_id` is NULL where nothing is locked.
_LIST = f"""
    SELECT {COLUMNS}, l.image_id, l.user_id, l.locked_at, l.expires_at, l.heartbeat_at
    {FOUND}
    LEFT JOIN LATERAL (
        SELECT * FROM image_locks WHERE project_id = p.id AND expires_at > clock_timestamp()
        ORDER BY image_id LIMIT {_MOST_SHOWN}
    ) l ON true
    {WHERE_FOUND}
    ORDER BY l.image_id
"""  # noqa: S608 - a number and constants

_FIND = f"""
    SELECT {COLUMNS}, l.image_id, l.user_id, l.locked_at, l.expires_at, l.heartbeat_at
    {FOUND}
    LEFT JOIN image_locks l ON l.project_id = p.id AND l.image_id = $3 AND l.expires_at > clock_timestamp()
    {WHERE_FOUND}
"""

_FORCE = """
    DELETE FROM image_locks WHERE project_id = $1 AND image_id = $2 RETURNING expires_at > clock_timestamp() AS live
"""


async def acquire(
    tx: SingleStatement,
    reference: str,
    user_id: int,
    roles: Sequence[str],
    image_id: str,
    lease_seconds: int,
    *,
    anyway: bool,
) -> Row | None:
    """Claim an image for opening it; what the function of the database says."""
    return await tx.fetchrow(_ACQUIRE, reference, user_id, roles, anyway, image_id, lease_seconds)


async def claim(
    tx: WriteTransaction,
    project_id: str,
    dataset_id: str,
    image_ids: Sequence[str],
    user_id: int,
    lease_seconds: int,
) -> list[Row]:
    """Claim images, all in one statement; a row each, with `mine` and `refreshed`, or with the holder.

    Other writers of these images wait until the transaction ends. `importing` where an import is at work: the holder is
    who imports. No row for an image that is not in the dataset, or whose lock another transaction made at this very
    moment.
    """
    return await tx.fetch(_CLAIM, project_id, dataset_id, list(image_ids), user_id, lease_seconds)


async def hold(
    tx: WriteTransaction, project_id: str, member_id: int | None, role: str, dataset_id: str, image_ids: Sequence[str]
) -> list[str] | None:
    """Keep the role, and have other writers of these distinct images wait, until the transaction ends.

    Return those that an import is at work on; None when the role is not so any more. Legacy annotations may be on
    images that the dataset lacks: their statuses are locked instead.
    """
    (row,) = await tx.fetch(_HOLD, project_id, member_id, role, dataset_id, list(image_ids))
    if row["images"] < len(image_ids):
        await tx.fetchval(_HOLD_STATUSES, project_id, list(image_ids))
    return list(row["importing"]) if row["is_held"] else None


async def existing(connection: ReadConnection, dataset_id: str, image_ids: Sequence[str]) -> set[str]:
    """Return those of the image ids that are in the dataset."""
    return {row["id"] for row in await connection.fetch(_EXISTING, dataset_id, list(image_ids))}


async def release(tx: SingleStatement, project_id: str, image_id: str, user_id: int) -> str:
    """Delete the user's lock; return the frontend's word for what was found."""
    row = await tx.fetchrow(_RELEASE, project_id, image_id, user_id)
    assert row is not None  # noqa: S101 - it returns a row always
    status: str = row["status"]
    return status


async def heartbeat(tx: SingleStatement, project_id: str, image_id: str, user_id: int, lease_seconds: int) -> Row:
    """Extend the user's live lock; an expired one stays expired. Without one the lock is NULL: `is_held_by_other`?"""
    row = await tx.fetchrow(_HEARTBEAT, project_id, image_id, user_id, lease_seconds)
    assert row is not None  # noqa: S101 - it returns a row always
    return row


async def page(connection: ReadConnection, reference: str, user_id: int) -> list[Row]:
    """Return the live locks of a project by image id, each with the user's access; reads only, because it is polled."""
    return await connection.fetch(_LIST, reference, user_id)


async def find(connection: ReadConnection, reference: str, user_id: int, image_id: str) -> Row | None:
    """Return the user's access, and the live lock of an image if there is one."""
    return await connection.fetchrow(_FIND, reference, user_id, image_id)


async def force(tx: SingleStatement, project_id: str, image_id: str) -> bool:
    """Delete the lock of an image, whoever holds it; False when nobody did."""
    row = await tx.fetchrow(_FORCE, project_id, image_id)
    return row is not None and row["live"]
