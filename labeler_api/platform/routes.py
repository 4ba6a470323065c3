"""The platform's data, read-only."""

from labeler_api.context import Call
from labeler_api.errors import NotFound
from labeler_api.http.endpoint import endpoint
from labeler_api.platform import service
from labeler_api.platform.schemas import (
    Organization,
    OrganizationId,
    Organizations,
    OrganizationsQuery,
    Workspaces,
    WorkspacesQuery,
)


async def list_organizations(call: Call, query: OrganizationsQuery) -> Organizations:
    """List the organizations of the caller

    That is the one that the account belongs to, or none; a system admin sees all of them. 503 with the code
    `platform_unavailable` when the Platform DB is not configured or away, here and in the other two.
    """
    return await service.organizations(call, query)


async def get_organization(call: Call, organization_id: OrganizationId) -> Organization:
    """Return an organization that the caller belongs to"""
    return await service.organization(call, organization_id)


async def list_workspaces(call: Call, query: WorkspacesQuery) -> Workspaces:
    """List the workspaces of an organization that the caller belongs to"""
    return await service.workspaces(call, query)


routes = [
    endpoint("GET", "/platform/organizations", list_organizations),
    endpoint("GET", "/platform/organizations/{organization_id}", get_organization, errors=(NotFound,)),
    endpoint("GET", "/platform/workspaces", list_workspaces, errors=(NotFound,)),
]
