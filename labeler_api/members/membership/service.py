"""Use cases of a project's members: list, add, another role, removal, and the transfer of ownership."""

from collections.abc import Mapping, Sequence

from labeler_api.context import Call
from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.errors import AppError, BadRequest, Forbidden, NotFound
from labeler_api.http.paging import decode_cursor, encode_cursor
from labeler_api.idempotency import keys as idempotency
from labeler_api.limits.rate_limits import MEMBERS_PER_PERSON
from labeler_api.members.authorization.service import (
    Access,
    access_held,
    access_of,
    actor_as_seen,
    authorize,
    role_changed,
)
from labeler_api.members.membership import store
from labeler_api.members.membership.schemas import (
    AddMember,
    ChangeMember,
    MemberResponse,
    Position,
    TransferOwnership,
    TransferResponse,
    member_response,
)
from labeler_api.members.policy import MAY_TRANSFER_OWNERSHIP, ProjectLock, Role, changeable, grantable, may_change
from labeler_api.user_directory.directory import UserProfile


async def change(call: Call, project: str, user_id: int, body: ChangeMember) -> MemberResponse:
    """Give a member another role. Raises NotFound, BadRequest for the owner, Forbidden at or above one's own role."""
    _, row = await set_role(call, project, user_id, Role.of(body.role))
    return member_response(row, await named(call, [row]))


async def set_role(call: Call, reference: str, user_id: int, wanted: Role) -> tuple[Access, Row]:
    """Give a member another role, and return the row."""
    async with call.db.read() as connection:
        access = await authorize(connection, call, reference, Role.ADMIN, ProjectLock.NONE)
    if wanted is Role.OWNER:
        raise owner_not_grantable()
    return access, await _set_role(call, access, user_id, wanted)


async def remove(call: Call, reference: str, user_id: int) -> None:
    """Remove a member, with their locks and invitations. Raises as `change`, and BadRequest for the caller."""
    async with call.db.read() as connection:
        access = await authorize(connection, call, reference, Role.ADMIN, ProjectLock.NONE)
    if user_id == call.user_id:
        raise _cannot_leave(access)
    await _set_role(call, access, user_id, None)
    call.services.caches.viewers.forget((access.dataset_id, user_id))


async def _set_role(call: Call, access: Access, user_id: int, wanted: Role | None) -> Row:
    """Give a member another role, or remove them; in the role in which the caller was seen."""
    async with call.db.single() as tx:
        row = await store.set_role(
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
    """Make another member the owner; the former one becomes an admin. Raises BadRequest if they are no member."""
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

    Raises `stranger` if they are no member, BadRequest for the caller and for a deactivated account.
    """
    access = await _require_candidate(call, reference, new_owner, stranger)
    async with call.db.single() as tx:
        row = await store.transfer(
            tx, access.require_project_id(), call.user_id, new_owner, former.text, grantable(former)
        )
    if row["outcome"] == "not_owner":
        raise Forbidden("You are not the owner any more: the ownership has just moved.", code="role_too_low")
    if row["outcome"] == "no_member":
        raise _no_member(stranger)
    return access, row


async def _require_candidate(call: Call, reference: str, user_id: int, stranger: type[AppError]) -> Access:
    """Check who is to be the owner, as far as that takes the gateway; the transaction checks the membership again."""
    async with call.db.read() as connection:
        row = await store.access_and_member(connection, reference, call.user_id, user_id)
    access = access_of(row, call, MAY_TRANSFER_OWNERSHIP)
    if user_id == call.user_id:
        raise BadRequest("You are the owner already.", code="already_owner")
    access.require_project_id()
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


# The frontend asks for no pages and looks for the caller's own row. Ten look-ups of names at the gateway, some 1.5 MB.
_PAGE_LIMIT = 5000


async def page(call: Call, project: str, cursor: str) -> tuple[list[MemberResponse], str | None]:
    """List members of a project with their names; and the cursor of the next page."""
    _, rows, following = await rows_of(call, project, cursor)
    users = await named(call, rows)
    return [member_response(row, users) for row in rows], following


async def rows_of(call: Call, reference: str, cursor: str) -> tuple[Access, list[Row], str | None]:
    """Read members of a project, the earliest first; and the cursor of the next page."""
    after = decode_cursor(cursor, Position) if cursor else None
    async with call.db.read() as connection:
        place = (after.granted_at, after.id) if after else None
        # One row more than a page has tells whether there is a next one.
        seen, found = await store.page(connection, reference, call.user_id, after=place, limit=_PAGE_LIMIT + 1)
    access = access_of(seen, call, Role.VIEWER)
    access.require_project_id()
    rows = found[:_PAGE_LIMIT]
    last = rows[-1] if len(found) > _PAGE_LIMIT else None
    return access, rows, encode_cursor(Position(last["granted_at"], last["id"])) if last else None


async def named(call: Call, rows: Sequence[Row]) -> Mapping[int, UserProfile]:
    """Look up the members in these rows, and who made them members."""
    ids = {row["user_id"] for row in rows} | {row["granted_by"] for row in rows}
    return await call.directory.get_many(ids, timeout=call.remaining_seconds)


async def add(call: Call, project: str, body: AddMember) -> MemberResponse:
    """Make the user with this e-mail address a member."""
    _, row = await add_user(call, project, body.user_email, Role.of(body.role))
    return member_response(row, await named(call, [row]))


async def add_user(call: Call, reference: str, email: str, wanted: Role) -> tuple[Access, Row]:
    """Make a member, and return the row. Raises TooMany after 500 in an hour.

    The access is checked before the address is looked up, so that nobody learns who has an account without it.
    """
    async with call.db.read() as connection:
        access = await require_may_grant(connection, call, reference, wanted)
    await call.services.limits.hit(MEMBERS_PER_PERSON, str(call.user_id))
    user = await call.directory.find_by_email(email.strip())
    if user is None or not user.is_active:
        raise NotFound("There is no active user with this e-mail address.", code="user_not_found")
    async with idempotency.transaction(call) as tx:
        if call.idempotency is not None:  # the access comes before the key
            access = may_grant(await authorize(tx, call, reference, Role.ADMIN, ProjectLock.ROLE), wanted)
        row = await idempotency.once(tx, call, lambda: _add(tx, call, access, user.id, wanted))
    return access, row


async def _add(tx: WriteTransaction, call: Call, access: Access, user_id: int, role: Role) -> Row:
    seen = store.ActorAsSeen(access.require_project_id(), access.member_id, access.role.text)
    row = dict(await store.add(tx, seen, user_id, role.text, call.user_id))
    if not row.pop("is_held"):  # the access may have changed since it was looked at
        raise role_changed()
    if row["id"] is None:
        raise BadRequest("This user is a member of the project already.", code="already_member")
    return row


async def require_may_grant(connection: ReadConnection, call: Call, reference: str, wanted: Role) -> Access:
    """Check that the caller may make somebody a member with this role. Raises as `authorize`, and BadRequest."""
    return may_grant(await authorize(connection, call, reference, Role.ADMIN, ProjectLock.NONE), wanted)


def may_grant(access: Access, wanted: Role) -> Access:
    """Check that who has this access may make somebody a member with the role. Raises Forbidden and BadRequest."""
    if wanted is Role.OWNER:
        raise owner_not_grantable()
    if not may_change(access.role, present=None, wanted=wanted):
        raise Forbidden(f"A project {access.role.text} may not grant the role {wanted.text}.", code="role_too_low")
    return access


def owner_not_grantable() -> BadRequest:
    """The answer to a call that would make a second owner."""
    return BadRequest("A project has one owner. Transfer the ownership instead.", code="owner_not_grantable")
