"""SQL of invitations. What is pending and past its time is read as expired; nobody has to write that down first."""

# ruff: noqa: S608 - the only text put into the statements is the columns and conditions below

from collections.abc import Sequence
from datetime import datetime

from labeler_api.db.pool import ReadConnection, Row, WriteTransaction

_STATUS = "CASE WHEN i.status = 'pending' AND i.expires_at <= clock_timestamp() THEN 'expired' ELSE i.status END"

_COLUMNS = f"""
    i.id, i.token, i.dataset_id, i.inviter_id, i.invitee_id, i.invitee_email, i.role, {_STATUS} AS status,
    i.created_at, i.expires_at, i.accepted_at, i.cancelled_at
"""

_PROJECT_NAME = """
    (SELECT COALESCE(p.name, d.name) FROM datasets d LEFT JOIN annotation_projects p ON p.dataset_id = d.id
     WHERE d.id = i.dataset_id) AS project_name
"""


def _list(person: str) -> str:
    """Write the statement of a list, by the column that names its reader. One row at least: the number of all.

    $2 a status, $3 the id of a project or a dataset, both empty for all.
    """
    return f"""WITH mine AS (
        SELECT i.* FROM (SELECT {_COLUMNS} FROM invitations i WHERE i.{person} = $1) i
        WHERE ($2::text = '' OR i.status = $2)
          AND ($3::text = ''
               OR i.dataset_id = COALESCE((SELECT dataset_id FROM annotation_projects WHERE id = $3), $3))
    ), page AS (
        SELECT i.*, {_PROJECT_NAME} FROM mine i
        WHERE $4::timestamptz IS NULL OR (i.created_at, i.id) < ($4, $5::integer)
        ORDER BY i.created_at DESC, i.id DESC LIMIT $6
    )
    SELECT (SELECT count(*) FROM mine) AS total, page.*
    FROM (VALUES (1)) AS always (one) LEFT JOIN page ON true
    ORDER BY page.created_at DESC, page.id DESC
    """


_RECEIVED = _list("invitee_id")

_SENT = _list("inviter_id")

_FIND = f"SELECT {_COLUMNS}, {_PROJECT_NAME} FROM invitations i WHERE i.id = $1"

_PROJECT_ID = "(SELECT p.id FROM annotation_projects p WHERE p.dataset_id = i.dataset_id) AS project_id"

_FIND_BY_TOKEN = f"SELECT {_COLUMNS}, {_PROJECT_NAME}, {_PROJECT_ID} FROM invitations i WHERE i.token = $1"

# Whoever removes one of the two or lowers their role waits for this transaction, or this for them and then finds what
# has become of the role. In the order in which those take their locks: the project's row, the owner's, a member's, and
# the invitations last. $2 the inviter and the invitee.
_HOLD_ROLES = """
    WITH project AS MATERIALIZED (SELECT id FROM annotation_projects WHERE id = $1 FOR KEY SHARE)
    SELECT m.id, m.user_id, m.role FROM project_permissions m
    WHERE m.project_id = (SELECT id FROM project) AND m.user_id = ANY ($2::integer[])
    ORDER BY m.role = 'owner' DESC, m.user_id
    FOR SHARE OF m
"""

# Two accepts, or an accept and a cancel, take turns here; the second sees what the first one did.
_LOCK = f"SELECT {_COLUMNS}, {_PROJECT_NAME}, {_PROJECT_ID} FROM invitations i WHERE i.id = $1 FOR UPDATE OF i"

# An invitation past its time must not stand in the way of a new one: the index knows no time.
_EXPIRE = """
    UPDATE invitations SET status = 'expired'
    WHERE dataset_id = $1 AND invitee_id = $2 AND status = 'pending' AND expires_at <= clock_timestamp()
"""

# Of two at once the second finds the first one's row and makes none.
_CREATE = f"""
    WITH made AS (
        INSERT INTO invitations (token, dataset_id, inviter_id, invitee_id, invitee_email, role, status,
                                 created_at, expires_at)
        SELECT $1, $2, $4::integer, $5::integer, $6, $7, 'pending',
               statement_timestamp(), statement_timestamp() + make_interval(days => $8::integer)
        WHERE NOT EXISTS (SELECT FROM project_permissions WHERE project_id = $3 AND user_id = $5)
        ON CONFLICT (dataset_id, invitee_id) WHERE status = 'pending' DO NOTHING
        RETURNING *
    )
    SELECT i.id, NULL AS token, i.dataset_id, i.inviter_id, i.invitee_id, i.invitee_email, i.role, i.status,
           i.created_at, i.expires_at, i.accepted_at, i.cancelled_at, {_PROJECT_NAME}
    FROM made i
"""

_MEMBER = "SELECT id, role FROM project_permissions WHERE project_id = $1 AND user_id = $2"

# Who became a member by another way meanwhile keeps the role that they have.
_ACCEPT = """
    WITH joined AS (
        INSERT INTO project_permissions (project_id, user_id, role, granted_by) VALUES ($2, $3, $4, $5)
        ON CONFLICT ON CONSTRAINT uq_project_user DO NOTHING
        RETURNING id, role
    ), used AS (
        UPDATE invitations SET status = 'accepted', accepted_at = clock_timestamp() WHERE id = $1
    )
    SELECT id, role FROM joined
"""

_CANCEL = f"""
    UPDATE invitations i SET status = 'cancelled', cancelled_at = clock_timestamp()
    WHERE i.id = $1 AND i.status = 'pending' AND i.expires_at > clock_timestamp()
    RETURNING {_COLUMNS}, {_PROJECT_NAME}
"""


async def page(
    connection: ReadConnection,
    user_id: int,
    *,
    sent: bool,
    status: str,
    reference: str,
    after: tuple[datetime, int] | None,
    limit: int,
) -> tuple[list[Row], int]:
    """Return invitations that the user received or sent, the newest first, and how many match over all pages.

    An empty `status` or `reference` (of a project or a dataset) matches all.
    """
    created_at, invitation_id = after or (None, None)
    rows = await connection.fetch(
        _SENT if sent else _RECEIVED, user_id, status, reference, created_at, invitation_id, limit
    )
    return [row for row in rows if row["id"] is not None], rows[0]["total"]


async def find(connection: ReadConnection, invitation_id: int) -> Row | None:
    """Find an invitation."""
    return await connection.fetchrow(_FIND, invitation_id)


async def find_by_token(connection: ReadConnection, token: str) -> Row | None:
    """Find the invitation with this token, with the project's id."""
    return await connection.fetchrow(_FIND_BY_TOKEN, token)


async def hold_roles(tx: WriteTransaction, project_id: str | None, user_ids: Sequence[int]) -> dict[int, Row]:
    """Return the memberships of these users, and see to it that they stay as they are until the end."""
    return {row["user_id"]: row for row in await tx.fetch(_HOLD_ROLES, project_id, list(user_ids))}


async def lock(tx: WriteTransaction, invitation_id: int) -> Row | None:
    """Return what `find_by_token` does, as it is now, and keep others from it until the end; None when it is gone."""
    return await tx.fetchrow(_LOCK, invitation_id)


async def expire(tx: WriteTransaction, dataset_id: str, invitee_id: int) -> None:
    """Write down that the pending invitation of a user is past its time, if it is."""
    await tx.execute(_EXPIRE, dataset_id, invitee_id)


async def create(
    tx: WriteTransaction,
    *,
    token: str,
    dataset_id: str,
    project_id: str,
    inviter_id: int,
    invitee_id: int,
    invitee_email: str,
    role: str,
    days: int,
) -> Row | None:
    """Make an invitation, and return it without its token; None for a member, or where one is pending already."""
    return await tx.fetchrow(_CREATE, token, dataset_id, project_id, inviter_id, invitee_id, invitee_email, role, days)


async def member(connection: ReadConnection, project_id: str, user_id: int) -> Row | None:
    """Find the membership of a user."""
    return await connection.fetchrow(_MEMBER, project_id, user_id)


async def accept(
    tx: WriteTransaction, invitation_id: int, *, project_id: str, invitee_id: int, role: str, inviter_id: int
) -> Row | None:
    """Write down that the invitation was accepted, and make the invitee a member; None for who is one already."""
    return await tx.fetchrow(_ACCEPT, invitation_id, project_id, invitee_id, role, inviter_id)


async def cancel(tx: WriteTransaction, invitation_id: int) -> Row | None:
    """Cancel an invitation; None when it is not pending any more."""
    return await tx.fetchrow(_CANCEL, invitation_id)
