"""SQL of project members."""

# ruff: noqa: S608 - the only text put into the statements is constants

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import datetime

from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.members.authorization.access import COLUMNS, FOUND, HELD, IS_HELD, OUTCOME, WHERE_FOUND, Actor, reading
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

# In the role in which the caller was seen.
_ADD = f"""
    WITH {HELD}, made AS (
        INSERT INTO project_permissions (project_id, user_id, role, granted_by)
        SELECT $1, $4, $5, $6 WHERE {IS_HELD}
        ON CONFLICT ON CONSTRAINT uq_project_user DO NOTHING
        RETURNING id, project_id, user_id, role, granted_by, granted_at
    )
    SELECT {IS_HELD} AS is_held, made.* FROM (SELECT) always LEFT JOIN made ON true
"""

_ACCESS_AND_MEMBER = f"""
    SELECT {COLUMNS}, (
        SELECT c.role FROM project_permissions c WHERE c.project_id = p.id AND c.user_id = $3
    ) AS member_role {FOUND} {WHERE_FOUND}
"""

_SET_ROLE = f"SELECT {OUTCOME}, (w.member).* FROM set_member_role_1($1, $2, $3, $4, $5, $6, $7, $8) w"

_TRANSFER = "SELECT w.outcome, (w.member).* FROM transfer_project_1($1, $2, $3, $4, $5) w"


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
    """


_ACCESS_AND_ROLE = _access_and_lock("KEY SHARE")
_ACCESS_AND_TURN = _access_and_lock("NO KEY UPDATE")
_ACCESS_ALONE = _access_and_lock("UPDATE")
_ACCESS_LOCKED = {Lock.ROLE: _ACCESS_AND_ROLE, Lock.TURN: _ACCESS_AND_TURN, Lock.ALONE: _ACCESS_ALONE}


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


async def access_and_member(connection: ReadConnection, reference: str, user_id: int, member_id: int) -> Row | None:
    """Find what `access` does, and the role of a member as `member_role`; None for who is none."""
    return await connection.fetchrow(_ACCESS_AND_MEMBER, reference, user_id, member_id)


@dataclass(frozen=True, slots=True)
class Seen:
    """Who changes a project, as they were seen: `member_id` None is who needs no membership."""

    project_id: str
    member_id: int | None
    role: str


async def add(tx: WriteTransaction, seen: Seen, user_id: int, role: str, granted_by: int) -> Row:
    """Add a member; the id is None when they are one already, or where not `is_held` what was seen."""
    row = await tx.fetchrow(_ADD, *astuple(seen), user_id, role, granted_by)
    assert row is not None  # noqa: S101 - it returns a row always
    return row


async def set_role(
    tx: WriteTransaction,
    actor: Actor,
    user_id: int,
    wanted: str | None,
    present: Sequence[str],
    grantable: Sequence[str],
) -> Row | None:
    """Give a member another role, or remove them, where their role is among those in `present`; say what became of it.

    Their locks go with a membership, and invitations with what they could be sent by (`grantable`).
    """
    return await tx.fetchrow(_SET_ROLE, *astuple(actor), user_id, wanted, list(present), list(grantable))


async def transfer(
    tx: WriteTransaction, project_id: str, owner_id: int, new_owner_id: int, former: str, grantable: Sequence[str]
) -> Row:
    """Make another member the owner, and give the owner the role `former`; say what became of it."""
    row = await tx.fetchrow(_TRANSFER, project_id, owner_id, new_owner_id, former, list(grantable))
    assert row is not None  # noqa: S101 - it returns a row always
    return row


async def access_locked(
    tx: WriteTransaction, reference: str, user_id: int, roles: Sequence[str], *, anyway: bool, lock: Lock
) -> Row | None:
    """Return what `access` does, and lock the project and the member's row: for one of the roles, or for anybody.

    `held` is the member's role now, `locked` the project's id where it was locked for anybody.
    """
    return await tx.fetchrow(_ACCESS_LOCKED[lock], reference, user_id, roles, anyway)
