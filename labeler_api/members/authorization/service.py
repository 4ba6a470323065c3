"""Membership: the one place that decides whether a caller may do a thing to a project."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, overload

from labeler_api.context import Call
from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.errors import BadRequest, Forbidden, NotFound, Stale
from labeler_api.http.paging import decode_cursor, encode_cursor
from labeler_api.idempotency import keys as idempotency
from labeler_api.limits.rate_limits import MEMBERS_PER_PERSON
from labeler_api.members.authorization import store
from labeler_api.members.authorization.access import Actor
from labeler_api.members.membership.schemas import AddMember, MemberResponse, Position, member_response
from labeler_api.members.policy import Lock, Role, effective_role, may_change
from labeler_api.user_directory.directory import UserProfile

# The frontend asks for no pages and looks for the caller's own row. Ten look-ups of names at the gateway, some 1.5 MB.
_PAGE_LIMIT = 5000


@dataclass(frozen=True, slots=True)
class Access:
    """A project or dataset that the caller may know of, and the role in which they meet it.

    `member_id` is the user whose membership gives the role, None where something else does (a system admin).
    """

    project_id: str | None
    dataset_id: str
    role: Role
    member_id: int | None = None

    @property
    def project(self) -> str:
        """The project's id. Raises NotFound when the dataset has none."""
        if self.project_id is None:
            raise NotFound("This dataset has no project yet. Open it once to make one.", code="project_not_found")
        return self.project_id


@overload
async def authorize(
    connection: ReadConnection, call: Call, reference: str, minimum: Role, lock: Literal[Lock.NONE]
) -> Access: ...


@overload
async def authorize(
    connection: WriteTransaction, call: Call, reference: str, minimum: Role, lock: Lock, *, in_line: bool = True
) -> Access: ...


async def authorize(
    connection: ReadConnection, call: Call, reference: str, minimum: Role, lock: Lock, *, in_line: bool = True
) -> Access:
    """Resolve `reference` (a project's or a dataset's id), check the caller's role and take the lock: one statement.

    Raises NotFound to whom may not know that the thing exists, Forbidden to whom may, but holds a lower role, and Stale
    when the project or the role changed at this moment. Callers that are refused take no lock. A dataset without a
    project has nothing to lock. Long work that takes the turn at its very end, for milliseconds, has its connection
    already and does not stand `in_line`.
    """
    if lock is Lock.NONE:
        return access_of(await store.access(connection, reference, call.user_id), call, minimum)
    assert isinstance(connection, WriteTransaction)  # noqa: S101 - the overloads say so
    if in_line and lock is not Lock.ROLE:
        connection.stand_in_line(reference)
    return await _authorize_locked(connection, call, reference, minimum, lock)


def access_of(row: Row | None, call: Call, minimum: Role) -> Access:
    """Judge what a statement with `members.access` found. Raises as `authorize` does."""
    if row is None:
        raise not_found()
    stored = row["role"]
    if stored is None and row["project_id"] is None and row["dataset_owner_id"] == call.user_id:
        stored = Role.OWNER.text  # a dataset without a project has no member rows
    role = effective_role(stored, is_admin=call.principal.is_admin, is_public=row["visibility"] == "public")
    if role is None:
        raise not_found()
    if role < minimum:
        raise Forbidden(
            f"This needs the role {minimum.text} on the project; yours is {role.text}.", code="role_too_low"
        )
    member_id = call.user_id if row["role"] == role.text and not call.principal.is_admin else None
    return Access(project_id=row["project_id"], dataset_id=row["dataset_id"], role=role, member_id=member_id)


async def _authorize_locked(tx: WriteTransaction, call: Call, reference: str, minimum: Role, lock: Lock) -> Access:
    anyway, enough = is_let_in(call, minimum), roles_from(minimum)
    row = await store.access_locked(tx, reference, call.user_id, enough, anyway=anyway, lock=lock)
    access = access_of(row, call, minimum)
    if access.project_id is not None:
        tx.know(access.dataset_id, access.project_id)
    if row is not None and access.project_id is not None and not _kept(row, anyway=anyway):
        raise role_changed()
    return access


@cache
def roles_from(minimum: Role) -> tuple[str, ...]:
    """The roles that are enough where this one is, as they are stored."""
    return tuple(role.text for role in Role if role >= minimum)


def is_let_in(call: Call, minimum: Role) -> bool:
    """Whether the caller needs no membership: a system admin acts as an admin on every project."""
    return call.principal.is_admin and minimum <= Role.ADMIN


def actor(call: Call, reference: str, minimum: Role) -> Actor:
    """Say to a function of the database who the caller is, and which roles are enough."""
    return Actor(reference, call.user_id, roles_from(minimum), is_let_in(call, minimum))


def actor_as_seen(call: Call, access: Access) -> Actor:
    """Say to a function of the database who the caller is, in the role in which they were seen."""
    return Actor(access.project, call.user_id, [access.role.text], access.member_id is None)


def access_held(row: Row | None, call: Call, minimum: Role) -> Access:
    """Judge what a function of the database returned that begins with `hold_project_2`.

    Raises as `authorize` does, and Stale when the role or the project has changed at this moment.
    """
    if row is None or row["found_dataset_id"] is None:
        raise not_found()
    found = {
        "project_id": row["found_project_id"],
        "dataset_id": row["found_dataset_id"],
        "visibility": row["found_visibility"],
        "dataset_owner_id": row["found_owner_id"],
        "role": row["found_role"],
    }
    access = access_of(found, call, minimum)
    if access.project and row["outcome"] in {"refused", "changed"}:
        raise role_changed()
    return access


def _kept(row: Row, *, anyway: bool) -> bool:
    """Whether what was looked at is still so, now that it is locked."""
    return row["locked"] is not None if anyway else row["held"] == row["role"]


def role_changed() -> Stale:
    """Make the request look again."""
    return Stale("The project or your role on it changed at this moment. Try again.", retry_after=1)


def not_found() -> NotFound:
    """The answer for what does not exist and for what the caller may not know of: the same."""
    return NotFound("There is no such project or dataset, or you are not a member of it.", code="project_not_found")


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
    _ = access.project  # raises where there is none
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
            access = may_grant(await authorize(tx, call, reference, Role.ADMIN, Lock.ROLE), wanted)
        row = await idempotency.once(tx, call, lambda: _add(tx, call, access, user.id, wanted))
    return access, row


async def _add(tx: WriteTransaction, call: Call, access: Access, user_id: int, role: Role) -> Row:
    seen = store.Seen(access.project, access.member_id, access.role.text)
    row = dict(await store.add(tx, seen, user_id, role.text, call.user_id))
    if not row.pop("is_held"):  # the access may have changed since it was looked at
        raise role_changed()
    if row["id"] is None:
        raise BadRequest("This user is a member of the project already.", code="already_member")
    return row


async def require_may_grant(connection: ReadConnection, call: Call, reference: str, wanted: Role) -> Access:
    """Check that the caller may make somebody a member with this role. Raises as `require_role`, and BadRequest."""
    return may_grant(await authorize(connection, call, reference, Role.ADMIN, Lock.NONE), wanted)


def may_grant(access: Access, wanted: Role) -> Access:
    """Check that who has this access may make somebody a member with the role. Raises Forbidden and BadRequest."""
    if wanted is Role.OWNER:
        raise owner_not_grantable()
    if not may_change(access.role, present=None, wanted=wanted):
        raise Forbidden(f"A project {access.role.text} may not grant the role {wanted.text}.", code="role_too_low")
    return access


def owner_not_grantable() -> BadRequest:
    """The answer to whoever would make a second owner."""
    return BadRequest("A project has one owner. Transfer the ownership instead.", code="owner_not_grantable")
