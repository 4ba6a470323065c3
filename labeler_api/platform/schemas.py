"""Wire types of the platform's data, which this service shows and never changes."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

OrganizationId = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Limit = Annotated[int, Meta(ge=1, le=200)]
Offset = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class OrganizationsQuery(Struct):
    """A page of the organizations."""

    limit: Limit = 50
    offset: Offset = 0


class WorkspacesQuery(Struct):
    """A page of the workspaces of one organization."""

    organization_id: OrganizationId
    limit: Limit = 50
    offset: Offset = 0


class Organization(Struct):
    """An organization, with what the platform allows it."""

    id: int
    name: str
    company: str
    division: str | None
    max_users: int | None
    max_storage_gb: int | None
    max_gpu_hours_per_month: int | None
    created_at: datetime
    updated_at: datetime


class Organizations(Struct):
    """A page of organizations, ordered by name."""

    organizations: list[Organization]
    total: int
    limit: int
    offset: int


class Workspace(Struct):
    """A workspace of an organization."""

    id: int
    organization_id: int
    name: str
    description: str | None
    created_at: datetime
    updated_at: datetime


class Workspaces(Struct):
    """A page of workspaces, ordered by name."""

    workspaces: list[Workspace]
    total: int
    limit: int
    offset: int
