"""The members of a project."""

from labeler_api.context import Call
from labeler_api.http.endpoint import Reply
from labeler_api.http.paging import CursorQuery
from labeler_api.members.membership import service
from labeler_api.members.membership import service as membership_service
from labeler_api.members.membership.schemas import (
    AddMember,
    ChangeMember,
    MemberResponse,
    TransferOwnership,
    TransferResponse,
)
from labeler_api.users.schemas import UserId


async def list_members(call: Call, project_id: str, query: CursorQuery) -> Reply[list[MemberResponse]]:
    """List the members of a project

    5000 at most. The header X-Next-Cursor is there when more follow; give it back as `cursor`.
    """
    members, cursor = await service.page(call, project_id, query.cursor)
    return Reply(members, {"X-Next-Cursor": cursor} if cursor else {})


async def add_member(call: Call, project_id: str, body: AddMember) -> MemberResponse:
    """Add a member by e-mail address"""
    return await service.add(call, project_id, body)


async def change_member(call: Call, project_id: str, user_id: UserId, body: ChangeMember) -> MemberResponse:
    """Give a member another role

    Nobody grants or changes a role at or above their own, the owner aside. Ownership moves by a transfer only.
    """
    return await membership_service.change(call, project_id, user_id, body)


async def remove_member(call: Call, project_id: str, user_id: UserId) -> None:
    """Remove a member

    What they hold open is unlocked. The owner cannot leave, and nobody removes themselves.
    """
    await membership_service.remove(call, project_id, user_id)


async def transfer_ownership(call: Call, project_id: str, body: TransferOwnership) -> TransferResponse:
    """Make another member the owner

    The former owner becomes an admin. The dataset gets the same owner.
    """
    return await membership_service.transfer(call, project_id, body)
