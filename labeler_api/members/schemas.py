"""Wire types of project members."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from labeler_api.directory import UserProfile
from labeler_api.members.policy import RoleName

Email = Annotated[str, Meta(min_length=3, max_length=255, pattern=r"^\s*[^@\s]+@[^@\s]+\s*$")]


class AddMember(Struct):
    """Whom to add, and as what."""

    user_email: Email
    role: RoleName


class MemberResponse(Struct):
    """A member of a project (contract, section 5, ProjectPermission)."""

    id: int
    project_id: str
    user_id: int
    role: str
    granted_by: int
    granted_at: datetime
    user_name: str | None
    user_email: str | None
    user_badge_color: str | None
    granted_by_name: str | None
    granted_by_email: str | None


def member_response(row: Mapping[str, Any], users: Mapping[int, UserProfile]) -> MemberResponse:
    """Join a row with the names; an unknown or deleted user shows as null names."""
    user, granter = users.get(row["user_id"]), users.get(row["granted_by"])
    return MemberResponse(
        id=row["id"],
        project_id=row["project_id"],
        user_id=row["user_id"],
        role=row["role"],
        granted_by=row["granted_by"],
        granted_at=row["granted_at"],
        user_name=user.full_name if user else None,
        user_email=user.email if user else None,
        user_badge_color=user.badge_color if user else None,
        granted_by_name=granter.full_name if granter else None,
        granted_by_email=granter.email if granter else None,
    )
