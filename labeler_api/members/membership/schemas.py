"""Wire types of project members."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from labeler_api.members.policy import RoleName
from labeler_api.text.patterns import EMAIL_COPIED
from labeler_api.user_directory.directory import UserProfile
from labeler_api.users.schemas import UserId

Email = Annotated[str, Meta(max_length=255, pattern=EMAIL_COPIED)]


# Ownership moves by a transfer only: 400.
GrantedRole = Annotated[RoleName, Meta(extra_json_schema={"not": {"const": "owner"}})]


class AddMember(Struct):
    """Whom to add, and as what."""

    user_email: Email
    role: GrantedRole


class ChangeMember(Struct):
    """The role that a member is to have."""

    role: GrantedRole


class TransferOwnership(Struct):
    """The member who is to be the owner."""

    new_owner_user_id: UserId


class TransferResponse(Struct):
    """Who owns the project now, and who did before."""

    message: str
    new_owner_user_id: int
    previous_owner_user_id: int


class Position(Struct, array_like=True):
    """Where a page of members ended."""

    granted_at: Annotated[datetime, Meta(tz=True)]
    id: Annotated[int, Meta(ge=1, le=2**31 - 1)]


class MemberResponse(Struct):
    """A member of a project (contract#members)."""

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
