"""Membership: the one place that decides whether a caller may do a thing to a project."""

from dataclasses import dataclass

from labeler_api.context import Call
from labeler_api.db.pool import ReadConnection
from labeler_api.errors import BadRequest, Forbidden, NotFound
from labeler_api.members import store
from labeler_api.members.policy import Role, effective_role, may_change
from labeler_api.members.schemas import AddMember, MemberResponse, member_response


@dataclass(frozen=True, slots=True)
class Access:
    """A project or dataset that the caller may know of, and the role in which they meet it."""

    project_id: str | None
    dataset_id: str
    role: Role

    @property
    def project(self) -> str:
        """The project's id. Raises NotFound when the dataset has none."""
        if self.project_id is None:
            raise NotFound("This dataset has no project yet. Open it once to make one.", code="project_not_found")
        return self.project_id


async def require_role(connection: ReadConnection, call: Call, reference: str, minimum: Role) -> Access:
    """Resolve `reference` (a project's or a dataset's id) and check the caller's role: one statement.

    Raises NotFound to whom may not know that the thing exists, Forbidden to whom may, but holds a lower role.
    """
    row = await store.access(connection, reference, call.user_id)
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
    return Access(project_id=row["project_id"], dataset_id=row["dataset_id"], role=role)


def not_found() -> NotFound:
    """The answer for what does not exist and for what the caller may not know of: the same."""
    return NotFound("There is no such project or dataset, or you are not a member of it.", code="project_not_found")


async def page(call: Call, project: str) -> list[MemberResponse]:
    """List the members of a project with their names."""
    async with call.db.read() as connection:
        access = await require_role(connection, call, project, Role.VIEWER)
        rows = await store.page(connection, access.project)
    ids = {row["user_id"] for row in rows} | {row["granted_by"] for row in rows}
    users = await call.directory.get_many(ids, timeout=call.remaining_seconds)
    return [member_response(row, users) for row in rows]


async def add(call: Call, project: str, body: AddMember) -> MemberResponse:
    """Make the user with this e-mail address a member.

    The access is checked before the address is looked up, so that nobody learns who has an account without it.
    """
    wanted = Role.of(body.role)
    async with call.db.read() as connection:
        await _require_may_add(connection, call, project, wanted)
    user = await call.directory.find_by_email(body.user_email.strip())
    if user is None or not user.is_active:
        raise NotFound("There is no active user with this e-mail address.", code="user_not_found")
    async with call.db.begin() as tx:
        access = await _require_may_add(tx, call, project, wanted)  # again: the role may have changed meanwhile
        row = await store.add(tx, access.project, user.id, wanted.text, call.user_id)
    if row is None:
        raise BadRequest("This user is a member of the project already.", code="already_member")
    users = await call.directory.get_many({user.id, call.user_id}, timeout=call.remaining_seconds)
    return member_response(row, users)


async def _require_may_add(connection: ReadConnection, call: Call, project: str, wanted: Role) -> Access:
    access = await require_role(connection, call, project, Role.ADMIN)
    if wanted is Role.OWNER:
        raise BadRequest("A project has one owner. Transfer the ownership instead.", code="owner_not_grantable")
    if not may_change(access.role, present=None, wanted=wanted):
        raise Forbidden(f"A project {access.role.text} may not grant the role {wanted.text}.", code="role_too_low")
    return access
