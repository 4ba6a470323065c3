"""SQL of image locks. The database's clock decides what has expired, and one statement who holds an image."""

# ruff: noqa: S608 - the only text put into the statements is constants

from collections.abc import Sequence

from labeler_api.db.pool import ReadConnection, Row, SingleStatement
from labeler_api.locks.image_locks.lease import LIVE
from labeler_api.members.authorization.access import COLUMNS, FOUND, WHERE_FOUND

_ACQUIRE = "SELECT * FROM acquire_image_2($1, $2, $3, $4, $5, $6)"

_RELEASE = f"""
    WITH mine AS (
        DELETE FROM image_locks WHERE project_id = $1 AND image_id = $2 AND user_id = $3
        RETURNING {LIVE} AS live
    )
    SELECT CASE
        WHEN (SELECT live FROM mine) THEN 'released'
        WHEN EXISTS (
            SELECT FROM image_locks
            WHERE project_id = $1 AND image_id = $2 AND user_id <> $3 AND {LIVE}
        ) THEN 'not_owner'
        ELSE 'not_locked' END AS status
"""

# A row always: the lock, or whether somebody else has one.
_HEARTBEAT = f"""
    WITH beat AS (
        UPDATE image_locks
        SET heartbeat_at = statement_timestamp(),
            expires_at = statement_timestamp() + make_interval(secs => $4::int),
            lease_seconds = $4::int
        WHERE project_id = $1 AND image_id = $2 AND user_id = $3 AND {LIVE}
        RETURNING image_id, user_id, locked_at, expires_at, heartbeat_at
    )
    SELECT beat.*, EXISTS (
        SELECT FROM image_locks
        WHERE project_id = $1 AND image_id = $2 AND user_id <> $3 AND {LIVE}
    ) AS is_held_by_other
    FROM (SELECT) always LEFT JOIN beat ON true
"""

# A person holds the image that they look at. Five thousand locks are a megabyte, which is polled every five seconds. If
# a script holds more, the list is cut; all of its locks apply.
_MOST_SHOWN = 5000

# With the caller's access, because every open annotation page asks every five seconds. A row at least where there is
# something to have access to; its `image_id` is NULL where nothing is locked.
_LIST = f"""
    SELECT {COLUMNS}, l.image_id, l.user_id, l.locked_at, l.expires_at, l.heartbeat_at
    {FOUND}
    LEFT JOIN LATERAL (
        SELECT * FROM image_locks WHERE project_id = p.id AND {LIVE}
        ORDER BY image_id LIMIT {_MOST_SHOWN}
    ) l ON true
    {WHERE_FOUND}
    ORDER BY l.image_id
"""

_FIND = f"""
    SELECT {COLUMNS}, l.image_id, l.user_id, l.locked_at, l.expires_at, l.heartbeat_at
    {FOUND}
    LEFT JOIN image_locks l ON l.project_id = p.id AND l.image_id = $3 AND l.{LIVE}
    {WHERE_FOUND}
"""

_FORCE = f"""
    DELETE FROM image_locks WHERE project_id = $1 AND image_id = $2 RETURNING {LIVE} AS live
"""


async def acquire(
    tx: SingleStatement,
    reference: str,
    user_id: int,
    roles: Sequence[str],
    image_id: str,
    lease_seconds: int,
    *,
    bypass_role_check: bool,
) -> Row | None:
    """Claim an image for opening it; what the function of the database says."""
    return await tx.fetchrow(_ACQUIRE, reference, user_id, roles, bypass_role_check, image_id, lease_seconds)


async def release(tx: SingleStatement, project_id: str, image_id: str, user_id: int) -> str:
    """Delete the user's lock; return the frontend's word for what was found."""
    row = await tx.fetchrow(_RELEASE, project_id, image_id, user_id)
    assert row is not None  # noqa: S101 - it returns a row always
    status: str = row["status"]
    return status


async def heartbeat(tx: SingleStatement, project_id: str, image_id: str, user_id: int, lease_seconds: int) -> Row:
    """Extend the user's live lock; an expired one stays expired.

    If there is no live lock of the user, the columns of the lock are NULL, and `is_held_by_other` says whether somebody
    else has one.
    """
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
