"""Wire types of logging in."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from labeler_api.text.patterns import EMAIL
from labeler_api.user_directory.organizations import OrganizationName


class Login(Struct):
    """Credentials; the address is compared as it was stored, upper and lower case included."""

    email: Annotated[str, Meta(max_length=255, pattern=EMAIL)]
    password: Annotated[str, Meta(max_length=1024)]


class TokenResponse(Struct):
    """A bearer token."""

    access_token: str
    token_type: str


class MeResponse(Struct):
    """The caller (contract#logging-in). `badge_color` is never null: the sidebar calls `.toLowerCase()` on it."""

    id: int
    email: str
    username: None
    full_name: str | None
    company: str | None
    division: str | None
    department: str | None
    system_role: str | None
    is_active: bool
    is_admin: bool
    badge_color: str
    created_at: datetime
    updated_at: datetime | None
    organization: OrganizationName | None
