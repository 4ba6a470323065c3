"""Wire types of users."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from labeler_api.user_directory.directory import UserProfile
from labeler_api.user_directory.organizations import OrganizationName

UserId = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class SearchQuery(Struct):
    """Whom to look for: at least two characters of the name or of the address before its `@`, `%` and `_` as they are.

    Text with an `@` is the beginning of an address.
    """

    q: Annotated[str, Meta(min_length=2, max_length=200, extra_json_schema={"pattern": r"^\s*[^\s@][^@]*[^\s@]"})]
    limit: Annotated[int, Meta(ge=1, le=50)] = 10
    offset: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    project_id: str = ""


class FoundUser(Struct):
    """A user as the invite dialog shows one."""

    id: int
    email: str
    full_name: str | None
    avatar_name: str | None
    badge_color: str | None
    system_role: str | None


class SearchResponse(Struct):
    """A page of the users found, ordered by e-mail address."""

    users: list[FoundUser]
    total: int
    limit: int
    offset: int


class UserResponse(Struct):
    """A user; one who is not active any more, too."""

    id: int
    email: str
    full_name: str | None
    avatar_name: str | None
    badge_color: str | None
    system_role: str | None
    organization_id: int | None
    organization: OrganizationName | None
    is_active: bool
    created_at: datetime | None


def found_user(user: UserProfile) -> FoundUser:
    """Say of a user what a search tells."""
    return FoundUser(
        id=user.id,
        email=user.email,
        full_name=user.full_name,
        avatar_name=user.avatar_name,
        badge_color=user.badge_color,
        system_role=user.system_role,
    )


def user_response(user: UserProfile, organization: OrganizationName | None) -> UserResponse:
    """Say of a user what the look-up tells."""
    return UserResponse(
        id=user.id,
        email=user.email,
        full_name=user.full_name,
        avatar_name=user.avatar_name,
        badge_color=user.badge_color,
        system_role=user.system_role,
        organization_id=user.organization_id,
        organization=organization,
        is_active=user.is_active,
        created_at=user.created_at,
    )
