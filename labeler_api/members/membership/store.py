"""SQL of a project's members."""

# ruff: noqa: S608 - the only text put into the statements is constants

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import astuple

from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.members.authorization.access import COLUMNS, FOUND, HELD, IS_HELD, OUTCOME, WHERE_FOUND, Actor, reading

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


async def page(
    connection: ReadConnection, reference: str, user_id: int, *, after: tuple[datetime, int] | None, limit: int
) -> tuple[Row | None, list[Row]]:
    """Return the user's access; and members of a project, the earliest first, from behind (time of grant, id) on."""
    found = await connection.fetch(_LIST, reference, user_id, *(after or (None, None)), limit)
    rows: list[Row] = [{**row, "role": row["member_role"]} for row in found if row["id"] is not None]
    return found[0] if found else None, rows


async def access_and_member(connection: ReadConnection, reference: str, user_id: int, member_id: int) -> Row | None:
    """Find what `access` does, and the role of a member as `member_role`; None if they are no member."""
    return await connection.fetchrow(_ACCESS_AND_MEMBER, reference, user_id, member_id)


class ActorAsSeen(Struct, frozen=True):
    """Who changes a project, as they were seen: `member_id` None is who needs no membership."""

    project_id: str
    member_id: int | None
    role: str


async def add(tx: WriteTransaction, seen: ActorAsSeen, user_id: int, role: str, granted_by: int) -> Row:
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
