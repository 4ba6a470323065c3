"""Invitations (calls 64 to 67, contract#invitations)."""

from typing import Annotated

from msgspec import Meta

from labeler_api.context import Call
from labeler_api.errors import BadRequest, Forbidden, NotFound, TooMany
from labeler_api.http.endpoint import Link, Reply, endpoint, links_to
from labeler_api.invitations import service
from labeler_api.invitations.schemas import (
    AcceptedResponse,
    AcceptInvitation,
    CreateInvitation,
    InvitationId,
    InvitationList,
    InvitationResponse,
    InvitationsQuery,
)

_SOMEBODY = [
    {"properties": {"invitee_user_id": {"type": "integer"}}, "required": ["invitee_user_id"]},
    {"properties": {"invitee_email": {"type": "string"}}, "required": ["invitee_email"]},
]
NewInvitation = Annotated[CreateInvitation, Meta(extra_json_schema={"anyOf": _SOMEBODY})]


async def create_invitation(call: Call, body: NewInvitation) -> InvitationResponse:
    """Invite a user to a project

    The invitation lives for seven days. Its token is shown to the invitee only.
    """
    return await service.create(call, body)


async def list_invitations(call: Call, query: InvitationsQuery) -> Reply[InvitationList]:
    """List the invitations that the caller received or sent

    The newest first. The header X-Next-Cursor is there when more follow; give it back as `cursor`.
    """
    invitations, cursor = await service.page(call, query)
    return Reply(invitations, headers={"X-Next-Cursor": cursor} if cursor else {})


async def accept_invitation(call: Call, body: AcceptInvitation) -> AcceptedResponse:
    """Accept an invitation

    Accepting once more answers the same.
    """
    return await service.accept(call, body)


async def cancel_invitation(call: Call, invitation_id: InvitationId) -> InvitationResponse:
    """Withdraw or decline an invitation"""
    return await service.cancel(call, invitation_id)


_AFTER_CREATE_INVITATION = [
    *links_to({"invitation_id": "$response.body#/id"}, "invitations_cancel_invitation"),
]

_AFTER_LIST_INVITATIONS = [
    Link("invitations_accept_invitation", body={"token": "$response.body#/invitations/0/token"}),
]

routes = [
    endpoint(
        "POST",
        "/invitations",
        create_invitation,
        links=_AFTER_CREATE_INVITATION,
        idempotent=True,
        errors=(BadRequest, Forbidden, NotFound, TooMany),
    ),
    endpoint("GET", "/invitations", list_invitations, links=_AFTER_LIST_INVITATIONS, etag=True, errors=(BadRequest,)),
    endpoint("POST", "/invitations/accept", accept_invitation, errors=(BadRequest, Forbidden, NotFound)),
    endpoint(
        "POST", "/invitations/{invitation_id}/cancel", cancel_invitation, errors=(BadRequest, Forbidden, NotFound)
    ),
]
