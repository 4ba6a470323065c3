"""Use cases of invitations: a user is asked to become a member of a dataset's project, and says yes or no."""

import secrets
from collections.abc import Mapping, Sequence

from labeler_api.context import Call
from labeler_api.db.pool import Row, WriteTransaction
from labeler_api.errors import BadRequest, Forbidden, NotFound, RetryTransaction, invalid
from labeler_api.http.paging import decode_cursor, encode_cursor
from labeler_api.idempotency import keys as idempotency
from labeler_api.invitations import store
from labeler_api.invitations.schemas import (
    PAGE_LIMIT,
    AcceptedResponse,
    AcceptInvitation,
    CreateInvitation,
    InvitationList,
    InvitationResponse,
    InvitationsQuery,
    Position,
    invitation_response,
)
from labeler_api.limits.rate_limits import INVITATIONS_PER_INVITER
from labeler_api.members.authorization.service import Access, access_held, access_of, actor_as_seen, authorize
from labeler_api.members.membership.service import may_grant, owner_not_grantable, require_may_grant
from labeler_api.members.policy import ProjectLock, Role, effective_role, grantable
from labeler_api.user_directory.directory import UserProfile

_DAYS = 7  # contract#invitations
_TOKEN_BYTES = 32  # 256 bits: 43 characters, as before

_AFTERWARDS = {
    "pending": "is being changed at this moment. Try again",
    "accepted": "was accepted before",
    "cancelled": "was cancelled. Ask for a new one",
    "expired": "has expired. Ask for a new one",
}


async def create(call: Call, body: CreateInvitation) -> InvitationResponse:
    """Invite a user. Raises BadRequest for members and for users who are invited already, TooMany after 20 in an hour.

    The access is checked before the user is looked up, so that nobody learns who has an account without it.
    """
    wanted = Role.of(body.role)
    async with call.db.read() as connection:
        access = await require_may_grant(connection, call, body.project_id, wanted)
    invitee = await _require_invitee(call, body)
    await call.services.limits.hit(INVITATIONS_PER_INVITER, str(call.user_id))
    async with idempotency.transaction(call) as tx:
        if call.idempotency is not None:  # the access comes before the key
            access = may_grant(await authorize(tx, call, body.project_id, Role.ADMIN, ProjectLock.ROLE), wanted)
        row = await idempotency.once(tx, call, lambda: _create(tx, call, access, invitee, wanted))
    return await _response(call, row)


async def page(call: Call, query: InvitationsQuery) -> tuple[InvitationList, str | None]:
    """List what the caller received or sent, the newest first; with the cursor of the next page."""
    if query.type not in {"received", "sent"}:
        raise BadRequest("The type has to be received or sent.", code="unknown_type")
    after = decode_cursor(query.cursor, Position) if query.cursor else None
    limit = min(query.limit, PAGE_LIMIT)
    async with call.db.read() as connection:
        found, total = await store.page(
            connection,
            call.user_id,
            sent=query.type == "sent",
            status=query.status,
            reference=query.project_id,
            after=(after.created_at, after.id) if after else None,
            limit=limit + 1,  # one more than asked for tells whether there is a next page
        )
    rows = found[:limit]
    more = len(found) > limit > 0
    cursor = encode_cursor(Position(rows[-1]["created_at"], rows[-1]["id"])) if more else None
    users = await _named(call, rows)
    return InvitationList([invitation_response(row, users, call.user_id) for row in rows], total), cursor


async def accept(call: Call, body: AcceptInvitation) -> AcceptedResponse:
    """Become a member. Accepting once more answers the same, for as long as one is a member.

    Who is a member already keeps their role. Raises NotFound, Forbidden to anybody but the invitee, BadRequest for an
    invitation that was cancelled, has expired, was used up, or whose inviter may not invite with its role any more.
    """
    async with call.db.read() as connection:
        found = await store.find_by_token(connection, body.token)
    if found is None:
        raise _no_such_token()
    _require_acceptable(call, found)
    inviter = await call.directory.find(found["inviter_id"]) if found["status"] == "pending" else None
    stands = found["status"] == "accepted" or _may_still_invite(inviter, found["inviter_role"], found["role"])
    async with call.db.single() as tx:
        member = await store.accept(tx, found, stands=stands)
    match member["outcome"]:
        case "gone":
            raise _no_such_token()
        case "changed":
            raise RetryTransaction("The project changed at this moment. Try again.", retry_after=1)
        case "removed":
            raise _not_pending("was accepted before, and you have been removed since. Ask for a new one")
        case "cancelled":
            raise _not_pending(
                "does not hold any more: whoever sent it may not invite to that role now. Ask for a new one"
            )
    return AcceptedResponse(
        message=f"You are a member of {found['project_name']} now, with the role {member['role']}.",
        project_id=found["dataset_id"],
        role=member["role"],
        permission_id=member["id"],
    )


def _may_still_invite(inviter: UserProfile | None, present: str | None, role: str) -> bool:
    """Whether the inviter, as they are now, could send an invitation with this role."""
    if inviter is None or not inviter.is_active:
        return False
    return role in grantable(effective_role(present, is_admin=inviter.is_admin, is_public=False))


async def cancel(call: Call, invitation_id: int) -> InvitationResponse:
    """Withdraw or decline an invitation: its inviter, its invitee, or an admin of the project."""
    async with call.db.read() as connection:
        row = await store.find_for(connection, invitation_id, call.user_id)
    if row is None:
        raise _not_found()
    if call.user_id not in {row["inviter_id"], row["invitee_id"]}:
        _require_admin(row, call)
    async with call.db.single() as tx:
        cancelled = await store.cancel(tx, invitation_id)
    if cancelled is None:
        async with call.db.read() as connection:
            present = await store.find(connection, invitation_id)
        raise _not_pending(_AFTERWARDS[present["status"]]) if present else _not_found()
    return await _response(call, cancelled)


async def _require_invitee(call: Call, body: CreateInvitation) -> UserProfile:
    """Look up whom to invite. Somebody who cannot log in could never accept, so they count as unknown."""
    if body.invitee_user_id is not None:
        user = await call.directory.find(body.invitee_user_id)
    elif body.invitee_email is not None:
        user = await call.directory.find_by_email(body.invitee_email.strip())
    else:
        raise invalid("is missing", "body", "invitee_user_id")
    if user is None or not user.is_active:
        raise NotFound("There is no such active user.", code="user_not_found")
    return user


async def _create(tx: WriteTransaction, call: Call, access: Access, invitee: UserProfile, role: Role) -> Row:
    new = store.NewInvitation(secrets.token_urlsafe(_TOKEN_BYTES), invitee.id, invitee.email, role.text, _DAYS)
    row = await store.create(tx, actor_as_seen(call, access), new)
    access_held(row, call, Role.ADMIN)
    assert row is not None  # noqa: S101 - it was just judged
    if row["outcome"] == "member":
        raise BadRequest("This user is a member of the project already.", code="already_member")
    if row["outcome"] == "pending":
        raise BadRequest("An invitation of this user to this project is pending already.", code="invitation_pending")
    return row


def _require_acceptable(call: Call, row: Row) -> str:
    """Check that the caller may accept, and return the project's id."""
    if row["invitee_id"] != call.user_id:
        raise Forbidden("This invitation is for somebody else.", code="not_the_invitee")
    if row["status"] not in {"pending", "accepted"}:
        raise _not_pending(_AFTERWARDS[row["status"]])
    if row["project_id"] is None:
        raise NotFound("The project of this invitation does not exist any more.", code="project_not_found")
    if (
        row["status"] == "pending" and row["role"] == Role.OWNER.text
    ):  # only invitations from before there was one owner
        raise owner_not_grantable()
    project_id: str = row["project_id"]
    return project_id


def _require_admin(row: Row, call: Call) -> None:
    try:
        access_of(row, call, Role.ADMIN)
    except NotFound:
        raise _not_found() from None


def _no_such_token() -> NotFound:
    return NotFound("There is no invitation with this token.", code="invitation_not_found")


def _not_pending(what: str) -> BadRequest:
    return BadRequest(f"This invitation {what}.", code="invitation_not_pending")


def _not_found() -> NotFound:
    return NotFound("There is no such invitation.", code="invitation_not_found")


async def _named(call: Call, rows: Sequence[Row]) -> Mapping[int, UserProfile]:
    ids = {row["inviter_id"] for row in rows} | {row["invitee_id"] for row in rows}
    return await call.directory.get_many(ids, timeout=call.remaining_seconds)


async def _response(call: Call, row: Row) -> InvitationResponse:
    return invitation_response(row, await _named(call, [row]), call.user_id)
