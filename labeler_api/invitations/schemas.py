"""Wire types of invitations."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from labeler_api.members.membership.schemas import Email, GrantedRole
from labeler_api.user_directory.directory import UserProfile
from labeler_api.users.schemas import UserId

Status = Literal["pending", "accepted", "cancelled", "expired"]
InvitationId = Annotated[int, Meta(ge=1, le=2**31 - 1)]
ProjectRef = Annotated[str, Meta(min_length=1, max_length=100)]
# Any other word is refused with 400, as this call always did, and not by the type with 422.
Direction = Annotated[str, Meta(extra_json_schema={"enum": ["received", "sent"]})]
PAGE_LIMIT = 1000  # a greater limit is silently this one; the frontend asks for no pages and expects them all


class CreateInvitation(Struct):
    """Whom to invite, by id or by e-mail address, and as what. `project_id` is a dataset's id or its project's."""

    project_id: ProjectRef
    role: GrantedRole
    invitee_user_id: UserId | None = None
    invitee_email: Email | None = None


class AcceptInvitation(Struct):
    """The token, which the invitee finds in the list of received invitations."""

    token: Annotated[str, Meta(min_length=1, max_length=255)]


class InvitationsQuery(Struct):
    """Which invitations: received or sent, of one status, of one project. `cursor` is from X-Next-Cursor."""

    type: Direction = "received"
    status: Status | Literal[""] = ""
    project_id: Annotated[str, Meta(max_length=100)] = ""
    limit: Annotated[int, Meta(ge=0)] = PAGE_LIMIT
    cursor: str = ""


class Position(Struct, array_like=True, frozen=True):
    """Where a page of invitations ended: the last row's place in the order."""

    created_at: Annotated[datetime, Meta(tz=True)]
    id: InvitationId


class InvitationResponse(Struct):
    """An invitation (contract#invitations). `project_id` is the dataset's id; `token` is for the invitee only."""

    id: int
    project_id: str
    inviter_user_id: int
    invitee_user_id: int
    invitee_email: str
    role: str
    status: str
    token: str | None
    created_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    cancelled_at: datetime | None
    inviter_name: str | None
    invitee_name: str | None
    project_name: str | None


class InvitationList(Struct):
    """Invitations, the newest first, and how many there are over all pages."""

    invitations: list[InvitationResponse]
    total: int


class AcceptedResponse(Struct):
    """What the invitee is a member of now, and as what. `project_id` is the dataset's id."""

    message: str
    project_id: str
    role: str
    permission_id: int


def invitation_response(row: Mapping[str, Any], users: Mapping[int, UserProfile], reader: int) -> InvitationResponse:
    """Join a row with the names, as `reader` may see it: a pending invitation's token is its invitee's alone."""
    inviter, invitee = users.get(row["inviter_id"]), users.get(row["invitee_id"])
    shown = row["status"] == "pending" and row["invitee_id"] == reader
    return InvitationResponse(
        id=row["id"],
        project_id=row["dataset_id"],
        inviter_user_id=row["inviter_id"],
        invitee_user_id=row["invitee_id"],
        invitee_email=row["invitee_email"],
        role=row["role"],
        status=row["status"],
        token=row["token"] if shown else None,
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        accepted_at=row["accepted_at"],
        cancelled_at=row["cancelled_at"],
        inviter_name=inviter.full_name if inviter else None,
        invitee_name=invitee.full_name if invitee else None,
        project_name=row["project_name"],
    )
