"""SQL of invitations. A pending invitation that is past its time is read as expired; its row is not changed."""

# ruff: noqa: S608 - the only text put into the statements is the columns and conditions below

from datetime import datetime

from msgspec import Struct
from msgspec.structs import astuple

from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.members.authorization.access import COLUMNS, OUTCOME, Actor

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

# The access has a `role`, too: the caller's.
_FIND_FOR = f"""
    SELECT {COLUMNS}, i.inviter_id, i.invitee_id
    FROM invitations i
    JOIN datasets d ON d.id = i.dataset_id
    LEFT JOIN annotation_projects p ON p.dataset_id = d.id
    LEFT JOIN project_permissions m ON m.project_id = p.id AND m.user_id = $2
    WHERE i.id = $1
"""

_PROJECT_ID = "(SELECT p.id FROM annotation_projects p WHERE p.dataset_id = i.dataset_id) AS project_id"

_INVITER_ROLE = """
    (SELECT m.role FROM project_permissions m JOIN annotation_projects p ON p.id = m.project_id
     WHERE p.dataset_id = i.dataset_id AND m.user_id = i.inviter_id) AS inviter_role
"""

_FIND_BY_TOKEN = f"""
    SELECT {_COLUMNS}, {_PROJECT_NAME}, {_PROJECT_ID}, {_INVITER_ROLE} FROM invitations i WHERE i.token = $1
"""

_CREATE = f"""
    SELECT {OUTCOME}, i.id, NULL AS token, i.dataset_id, i.inviter_id, i.invitee_id, i.invitee_email, i.role, i.status,
           i.created_at, i.expires_at, i.accepted_at, i.cancelled_at, {_PROJECT_NAME}
    FROM create_invitation_1($1, $2, $3, $4, $5, $6, $7, $8, $9) w CROSS JOIN LATERAL (SELECT (w.invitation).*) i
"""

_ACCEPT = "SELECT w.outcome, (w.member).* FROM accept_invitation_1($1, $2, $3, $4, $5) w"

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


async def find_for(connection: ReadConnection, invitation_id: int, user_id: int) -> Row | None:
    """Find who sent an invitation and to whom, with the user's access to its project."""
    return await connection.fetchrow(_FIND_FOR, invitation_id, user_id)


async def find_by_token(connection: ReadConnection, token: str) -> Row | None:
    """Find the invitation with this token, with the project's id, and the role that its inviter has there."""
    return await connection.fetchrow(_FIND_BY_TOKEN, token)


class NewInvitation(Struct, frozen=True):
    """Whom to invite, and to what."""

    token: str
    invitee_id: int
    invitee_email: str
    role: str
    days: int


async def create(tx: WriteTransaction, actor: Actor, new: NewInvitation) -> Row | None:
    """Make an invitation; say what became of it, and return it without its token."""
    return await tx.fetchrow(_CREATE, *astuple(actor), *astuple(new))


async def accept(tx: WriteTransaction, seen: Row, *, stands: bool) -> Row:
    """Make the invitee of an invitation, as `find_by_token` found it, a member; say what became of it."""
    row = await tx.fetchrow(_ACCEPT, seen["id"], seen["status"], seen["project_id"], seen["inviter_role"], stands)
    assert row is not None  # noqa: S101 - it returns a row always
    return row


async def cancel(tx: WriteTransaction, invitation_id: int) -> Row | None:
    """Cancel an invitation; None when it is not pending any more."""
    return await tx.fetchrow(_CANCEL, invitation_id)
