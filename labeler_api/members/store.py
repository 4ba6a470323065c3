"""SQL of project members."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.members.access import COLUMNS, FOUND, WHERE_FOUND, reading
from labeler_api.members.policy import Lock

_ACCESS = f"SELECT {COLUMNS} {FOUND} {WHERE_FOUND}"

# The access has a `role`, too: the caller's.
_LIST = reading(
    """
    SELECT id, user_id, role AS member_role, granted_by, granted_at
    FROM project_permissions
    WHERE project_id = found.project_id AND ($3::timestamptz IS NULL OR (granted_at, id) > ($3, $4::int))
    ORDER BY granted_at, id LIMIT $5
    """,
    "read.granted_at, read.id",
)

_ADD = """
    INSERT INTO project_permissions (project_id, user_id, role, granted_by)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT ON CONSTRAINT uq_project_user DO NOTHING
    RETURNING id, project_id, user_id, role, granted_by, granted_at
"""

_ROLE = "SELECT role FROM project_permissions WHERE project_id = $1 AND user_id = $2"

# $4: the roles that the caller may change. The row as it is at this very moment decides, not one read before.
_CHANGE = """
    UPDATE project_permissions SET role = $3
    WHERE project_id = $1 AND user_id = $2 AND role = ANY ($4::text[])
    RETURNING id, project_id, user_id, role, granted_by, granted_at
"""


def _access_and_lock(strength: str) -> str:
    """Access and lock at once.

    Only who has one of the roles $3 gets the locks. Unauthorised callers take none, and wait for none.
    $4: without being a member. `held` is the role as it is once the lock was got.
    """
    return f"""
        WITH found AS (SELECT {COLUMNS} {FOUND} {WHERE_FOUND}), held AS (
            SELECT m.role
            FROM annotation_projects p JOIN project_permissions m ON m.project_id = p.id
            WHERE p.id = (SELECT project_id FROM found WHERE role = ANY ($3::text[])) AND m.user_id = $2
            FOR {strength} OF p FOR SHARE OF m
        ), project AS (
            SELECT id FROM annotation_projects WHERE $4::boolean AND id = (SELECT project_id FROM found)
            FOR {strength}
        )
        SELECT found.*, (SELECT role FROM held) AS held, (SELECT id FROM project) AS locked FROM found
    """  # noqa: S608 - constant lists of columns and tables


_ACCESS_AND_ROLE = _access_and_lock("KEY SHARE")
_ACCESS_AND_TURN = _access_and_lock("NO KEY UPDATE")
_ACCESS_ALONE = _access_and_lock("UPDATE")
_ACCESS_LOCKED = {Lock.ROLE: _ACCESS_AND_ROLE, Lock.TURN: _ACCESS_AND_TURN, Lock.ALONE: _ACCESS_ALONE}

_REMOVE = "DELETE FROM project_permissions WHERE project_id = $1 AND user_id = $2 AND role = ANY ($3::text[])"

# The table belongs to invitations, which stand to the right of members; a changed role has to reach it all the same. In
# the order of ids, so that two changes at once never wait for each other. $2 whose invitations to cancel, $3 who sent
# some, $4 the roles that they may still grant.
_CANCEL_INVITATIONS = """
    UPDATE invitations SET status = 'cancelled', cancelled_at = clock_timestamp()
    WHERE id IN (
        SELECT i.id FROM invitations i JOIN annotation_projects p ON p.dataset_id = i.dataset_id
        WHERE p.id = $1 AND i.status = 'pending' AND i.expires_at > clock_timestamp()
          AND (i.invitee_id = ANY ($2::integer[]) OR i.inviter_id = $3 AND i.role <> ALL ($4::text[]))
        ORDER BY i.id
        FOR UPDATE OF i
    )
"""

# Statements of their own, after the member's row was changed, so that they see the locks which the member took, and the
# invitations which they sent, while the change waited for them.
_FREE_IMAGES_AND_CANCEL = f"""
    WITH freed AS (DELETE FROM image_locks WHERE project_id = $1 AND user_id = $3)
    {_CANCEL_INVITATIONS}
"""  # noqa: S608 - two constant statements

# The project's row first, then the dataset's, as uploads take them; of two transfers at once the second waits here.
_MOVE_OWNER = """
    WITH project AS (
        UPDATE annotation_projects SET owner_id = $2, last_updated_by = $3, updated_at = clock_timestamp()
        WHERE id = $1
        RETURNING dataset_id
    )
    UPDATE datasets d SET owner_id = $2, updated_at = clock_timestamp()
    FROM project WHERE d.id = project.dataset_id
"""

# Before the next one is made: the index of owners allows one at a time.
_RESIGN = """
    UPDATE project_permissions SET role = $3 WHERE project_id = $1 AND user_id = $2 AND role = 'owner'
"""

_MAKE_OWNER = """
    UPDATE project_permissions SET role = 'owner' WHERE project_id = $1 AND user_id = $2
    RETURNING id, project_id, user_id, role, granted_by, granted_at
"""


async def access(connection: ReadConnection, reference: str, user_id: int) -> Row | None:
    """Find the project or dataset behind a reference, with the caller's stored role."""
    return await connection.fetchrow(_ACCESS, reference, user_id)


async def page(
    connection: ReadConnection, reference: str, user_id: int, *, after: tuple[datetime, int] | None, limit: int
) -> tuple[Row | None, list[Row]]:
    """Return the user's access; and members of a project, the earliest first, from behind (time of grant, id) on."""
    found = await connection.fetch(_LIST, reference, user_id, *(after or (None, None)), limit)
    rows: list[Row] = [{**row, "role": row["member_role"]} for row in found if row["id"] is not None]
    return found[0] if found else None, rows


async def add(
    tx: WriteTransaction, project_id: str, user_id: int, role: str, granted_by: int
) -> Mapping[str, Any] | None:
    """Add a member; None when they are one already."""
    return await tx.fetchrow(_ADD, project_id, user_id, role, granted_by)


async def role(connection: ReadConnection, project_id: str, user_id: int) -> str | None:
    """Find the role of a member; None for who is none."""
    found: str | None = await connection.fetchval(_ROLE, project_id, user_id)
    return found


async def change(
    tx: WriteTransaction, project_id: str, user_id: int, wanted: str, present: Sequence[str]
) -> Row | None:
    """Give a member another role; None when they are no member, or their role is not among those in `present`."""
    return await tx.fetchrow(_CHANGE, project_id, user_id, wanted, list(present))


async def remove(tx: WriteTransaction, project_id: str, user_id: int, present: Sequence[str]) -> bool:
    """Remove a member, their locks, and every invitation to or from them; False as `change` answers None."""
    if not await tx.execute(_REMOVE, project_id, user_id, list(present)):
        return False
    await tx.execute(_FREE_IMAGES_AND_CANCEL, project_id, [user_id], user_id, [])
    return True


async def cancel_invitations(
    tx: WriteTransaction, project_id: str, *, to: Sequence[int], sent_by: int, grantable: Sequence[str]
) -> None:
    """Cancel what is pending `to` these users for a project, and what a user sent with a role not in `grantable`."""
    await tx.execute(_CANCEL_INVITATIONS, project_id, list(to), sent_by, list(grantable))


async def access_locked(
    tx: WriteTransaction, reference: str, user_id: int, roles: Sequence[str], *, anyway: bool, lock: Lock
) -> Row | None:
    """Return what `access` does, and lock the project and the member's row: for one of the roles, or for anybody.

    `held` is the member's role now, `locked` the project's id where it was locked for anybody.
    """
    return await tx.fetchrow(_ACCESS_LOCKED[lock], reference, user_id, roles, anyway)


async def move_owner(tx: WriteTransaction, project_id: str, user_id: int, actor: int) -> None:
    """Write the new owner into the project's row and the dataset's."""
    await tx.execute(_MOVE_OWNER, project_id, user_id, actor)


async def resign(tx: WriteTransaction, project_id: str, user_id: int, role: str) -> bool:
    """Give the owner another role; False when they are not the owner any more."""
    return await tx.execute(_RESIGN, project_id, user_id, role) > 0


async def make_owner(tx: WriteTransaction, project_id: str, user_id: int) -> Row | None:
    """Make a member the owner; None when they are no member. The former one has to have resigned."""
    return await tx.fetchrow(_MAKE_OWNER, project_id, user_id)
