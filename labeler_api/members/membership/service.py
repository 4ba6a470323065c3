"""Use cases of a project's members: another role, removal, and the transfer of ownership.

The row of the member as it is when it is written decides: each change is one statement that names the roles which the
caller may touch. A change that comes second finds another role, or none, and is refused.

Invitations do not outlive the role: each change cancels those that wait for the member, and those that the member sent
and could not send any more.
"""

from labeler_api.context import Call
from labeler_api.db.pool import Row
from labeler_api.errors import AppError, BadRequest, Forbidden, NotFound
from labeler_api.members.authorization import store as authorization_store
from labeler_api.members.authorization.service import (
    Access,
    access_held,
    access_of,
    actor_as_seen,
    authorize,
    named,
    owner_not_grantable,
)
from labeler_api.members.membership.schemas import (
    ChangeMember,
    MemberResponse,
    TransferOwnership,
    TransferResponse,
    member_response,
)
from labeler_api.members.policy import Lock, Role, changeable, grantable


async def change(call: Call, project: str, user_id: int, body: ChangeMember) -> MemberResponse:
    """Give a member another role. Raises NotFound, BadRequest for the owner, Forbidden at or above one's own role."""
    _, row = await set_role(call, project, user_id, Role.of(body.role))
    return member_response(row, await named(call, [row]))


async def set_role(call: Call, reference: str, user_id: int, wanted: Role) -> tuple[Access, Row]:
    """Give a member another role, and return the row."""
    async with call.db.read() as connection:
        access = await authorize(connection, call, reference, Role.ADMIN, Lock.NONE)
    if wanted is Role.OWNER:
        raise owner_not_grantable()
    return access, await _set_role(call, access, user_id, wanted)


async def remove(call: Call, reference: str, user_id: int) -> None:
    """Remove a member, with their locks and invitations. Raises as `change`, and BadRequest for the caller."""
    async with call.db.read() as connection:
        access = await authorize(connection, call, reference, Role.ADMIN, Lock.NONE)
    if user_id == call.user_id:
        raise _cannot_leave(access)
    await _set_role(call, access, user_id, None)
    call.services.caches.viewers.forget((access.dataset_id, user_id))


async def _set_role(call: Call, access: Access, user_id: int, wanted: Role | None) -> Row:
    """Give a member another role, or remove them; in the role in which the caller was seen."""
    async with call.db.single() as tx:
        row = await authorization_store.set_role(
            tx,
            actor_as_seen(call, access),
            user_id,
            wanted.text if wanted else None,
            changeable(access.role, wanted),
            grantable(wanted),
        )
        access_held(row, call, Role.ADMIN)
        assert row is not None  # noqa: S101 - it was just judged
    if row["outcome"] == "untouchable":
        raise _untouchable(row["role"], access, wanted)
    return row


async def transfer(call: Call, project: str, body: TransferOwnership) -> TransferResponse:
    """Make another member the owner; the former one becomes an admin. Raises BadRequest for who is no member."""
    new_owner = body.new_owner_user_id
    await move(call, project, new_owner, former=Role.ADMIN, stranger=BadRequest)
    return TransferResponse(
        message=f"User {new_owner} owns the project now; you are one of its admins.",
        new_owner_user_id=new_owner,
        previous_owner_user_id=call.user_id,
    )


async def move(
    call: Call, reference: str, new_owner: int, *, former: Role, stranger: type[AppError]
) -> tuple[Access, Row]:
    """Make another member the owner of project and dataset, and give the caller the role `former`; all or nothing.

    Raises `stranger` for who is no member, BadRequest for the caller and for a deactivated account.
    """
    access = await _require_candidate(call, reference, new_owner, stranger)
    async with call.db.single() as tx:
        row = await authorization_store.transfer(
            tx, access.project, call.user_id, new_owner, former.text, grantable(former)
        )
    if row["outcome"] == "not_owner":
        raise Forbidden("You are not the owner any more: the ownership has just moved.", code="role_too_low")
    if row["outcome"] == "no_member":
        raise _no_member(stranger)
    return access, row


async def _require_candidate(call: Call, reference: str, user_id: int, stranger: type[AppError]) -> Access:
    """Check who is to be the owner, as far as that takes the gateway; the transaction checks the membership again."""
    async with call.db.read() as connection:
        row = await authorization_store.access_and_member(connection, reference, call.user_id, user_id)
    access = access_of(row, call, Role.OWNER)
    if user_id == call.user_id:
        raise BadRequest("You are the owner already.", code="already_owner")
    _ = access.project  # raises where there is none
    if row is None or row["member_role"] is None:
        raise _no_member(stranger)
    user = await call.directory.find(user_id)
    if user is None or not user.is_active:
        raise BadRequest("This account is not active: it cannot own a project.", code="user_inactive")
    return access


def _untouchable(present: str | None, access: Access, wanted: Role | None) -> AppError:
    """Say why a change found no row that it may touch."""
    if present is None:
        return _no_member(NotFound)
    if present == Role.OWNER.text:
        return BadRequest(
            "This member is the owner, and stays it until the ownership is transferred.", code="owner_not_changeable"
        )
    what = f"turn the role {present} into {wanted.text}" if wanted else f"remove a member with the role {present}"
    return Forbidden(f"A project {access.role.text} may not {what}.", code="role_too_low")


def _cannot_leave(access: Access) -> BadRequest:
    if access.role is Role.OWNER:
        return BadRequest("The owner cannot leave. Transfer the ownership first.", code="owner_cannot_leave")
    return BadRequest("You cannot remove yourself. Ask the owner to do it.", code="cannot_remove_yourself")


def _no_member(kind: type[AppError]) -> AppError:
    return kind("This user is not a member of the project. Add or invite them first.", code="member_not_found")
