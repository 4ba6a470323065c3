"""Membership: the one place that decides whether a caller may do a thing to a project."""

from functools import cache
from typing import Literal, overload

from msgspec import Struct

from labeler_api.context import Call
from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.errors import Forbidden, NotFound, RetryTransaction
from labeler_api.members.authorization import store
from labeler_api.members.authorization.access import Actor
from labeler_api.members.policy import ProjectLock, Role, effective_role


class Access(Struct, frozen=True):
    """A project or dataset that the caller may know of, and the role in which they meet it.

    `member_id` is the user whose membership gives the role, None where something else does (a system admin).
    """

    project_id: str | None
    dataset_id: str
    role: Role
    member_id: int | None = None

    def require_project_id(self) -> str:
        """Return the project's id. Raises NotFound when the dataset has none."""
        if self.project_id is None:
            raise NotFound("This dataset has no project yet. Open it once to make one.", code="project_not_found")
        return self.project_id


@overload
async def authorize(
    connection: ReadConnection, call: Call, reference: str, minimum: Role, lock: Literal[ProjectLock.NONE]
) -> Access: ...


@overload
async def authorize(
    connection: WriteTransaction, call: Call, reference: str, minimum: Role, lock: ProjectLock, *, queued: bool = True
) -> Access: ...


async def authorize(
    connection: ReadConnection, call: Call, reference: str, minimum: Role, lock: ProjectLock, *, queued: bool = True
) -> Access:
    """Resolve `reference` (a project's or a dataset's id), check the caller's role and take the lock: one statement.

    Raises NotFound if the caller may not see the thing, Forbidden if they may see it but their role is too low, and
    RetryTransaction if the project or the role changed at this moment. Callers that are refused take no lock. A dataset
    without a project has nothing to lock. Long work passes `queued=False`: it holds a connection already, and needs the
    project lock only at its end, for milliseconds.
    """
    if lock is ProjectLock.NONE:
        return access_of(await store.access(connection, reference, call.user_id), call, minimum)
    assert isinstance(connection, WriteTransaction)  # noqa: S101 - the overloads say so
    if queued and lock is not ProjectLock.ROLE:
        connection.queue_for_project(reference)
    return await _authorize_locked(connection, call, reference, minimum, lock)


def access_of(row: Row | None, call: Call, minimum: Role) -> Access:
    """Judge what a statement with `authorization.access` found. Raises as `authorize` does."""
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


async def _authorize_locked(
    tx: WriteTransaction, call: Call, reference: str, minimum: Role, lock: ProjectLock
) -> Access:
    bypass_role_check, enough = system_admin_allowed(call, minimum), roles_from(minimum)
    row = await store.access_locked(tx, reference, call.user_id, enough, bypass_role_check=bypass_role_check, lock=lock)
    access = access_of(row, call, minimum)
    if access.project_id is not None:
        tx.alias_dataset(access.dataset_id, access.project_id)
    if row is not None and access.project_id is not None and not _kept(row, bypass_role_check=bypass_role_check):
        raise role_changed()
    return access


@cache
def roles_from(minimum: Role) -> tuple[str, ...]:
    """The roles that are enough where this one is, as they are stored."""
    return tuple(role.text for role in Role if role >= minimum)


def system_admin_allowed(call: Call, minimum: Role) -> bool:
    """Whether the caller needs no membership: a system admin acts as an admin on every project."""
    return call.principal.is_admin and minimum <= Role.ADMIN


def actor(call: Call, reference: str, minimum: Role) -> Actor:
    """Say to a function of the database who the caller is, and which roles are enough."""
    return Actor(reference, call.user_id, roles_from(minimum), system_admin_allowed(call, minimum))


def actor_as_seen(call: Call, access: Access) -> Actor:
    """Say to a function of the database who the caller is, in the role in which they were seen."""
    return Actor(access.require_project_id(), call.user_id, [access.role.text], access.member_id is None)


def access_held(row: Row | None, call: Call, minimum: Role) -> Access:
    """Judge what a function of the database returned that begins with `hold_project_2`.

    Raises as `authorize` does, and RetryTransaction when the role or the project has changed at this moment.
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
    if access.require_project_id() and row["outcome"] in {"refused", "changed"}:
        raise role_changed()
    return access


def _kept(row: Row, *, bypass_role_check: bool) -> bool:
    """Whether what was looked at is still so, now that it is locked."""
    return row["locked"] is not None if bypass_role_check else row["held"] == row["role"]


def role_changed() -> RetryTransaction:
    """Make the request look again."""
    return RetryTransaction("The project or your role on it changed at this moment. Try again.", retry_after=1)


def not_found() -> NotFound:
    """The answer for what does not exist and for what the caller may not know of: the same."""
    return NotFound("There is no such project or dataset, or you are not a member of it.", code="project_not_found")
