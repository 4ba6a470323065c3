"""Use cases of the platform's data: members see their organization, system admins see all of them."""

from datetime import UTC, datetime

from labeler_api.context import Call
from labeler_api.db.pool import Row
from labeler_api.errors import NotFound
from labeler_api.platform import store
from labeler_api.platform.schemas import (
    Organization,
    Organizations,
    OrganizationsQuery,
    Workspace,
    Workspaces,
    WorkspacesQuery,
)
from labeler_api.text.names import shown


async def organizations(call: Call, query: OrganizationsQuery) -> Organizations:
    """List what the caller belongs to; a system admin's list is of all organizations. Raises Unavailable."""
    user = call.principal
    only = None if user.is_admin else (user.profile.organization_id or 0)  # ids begin at 1
    async with call.platform.read() as connection:
        total, rows = await store.organizations(connection, only, limit=query.limit, offset=query.offset)
    return Organizations([_organization(row) for row in rows], total, query.limit, query.offset)


async def organization(call: Call, organization_id: int) -> Organization:
    """Return one organization. Raises NotFound for one that the caller does not belong to, Unavailable."""
    _require_member(call, organization_id)
    async with call.platform.read() as connection:
        row = await store.organization(connection, organization_id)
    if row is None:
        raise _no_such_organization()
    return _organization(row)


async def workspaces(call: Call, query: WorkspacesQuery) -> Workspaces:
    """List the workspaces of an organization. Raises NotFound as `organization` does, Unavailable."""
    _require_member(call, query.organization_id)
    async with call.platform.read() as connection:
        found = await store.workspaces(connection, query.organization_id, limit=query.limit, offset=query.offset)
    if found is None:
        raise _no_such_organization()
    total, rows = found
    return Workspaces([_workspace(row) for row in rows], total, query.limit, query.offset)


def _require_member(call: Call, organization_id: int) -> None:
    user = call.principal
    if not user.is_admin and user.profile.organization_id != organization_id:
        raise _no_such_organization()


def _organization(row: Row) -> Organization:
    return Organization(
        id=row["id"],
        name=shown(row["name"]),
        company=shown(row["company"]),
        division=_shown(row["division"]),
        max_users=row["max_users"],
        max_storage_gb=row["max_storage_gb"],
        max_gpu_hours_per_month=row["max_gpu_hours_per_month"],
        created_at=_aware(row["created_at"]),
        updated_at=_aware(row["updated_at"]),
    )


def _workspace(row: Row) -> Workspace:
    return Workspace(
        id=row["id"],
        organization_id=row["organization_id"],
        name=shown(row["name"]),
        description=row["description"],
        created_at=_aware(row["created_at"]),
        updated_at=_aware(row["updated_at"]),
    )


def _shown(name: str | None) -> str | None:
    return None if name is None else shown(name)


def _aware(time: datetime) -> datetime:
    """The platform's tables may keep times without a zone, in UTC."""
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _no_such_organization() -> NotFound:
    return NotFound("There is no such organization, or you are not a member of it.", code="organization_not_found")
