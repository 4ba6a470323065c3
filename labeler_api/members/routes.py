"""Members of a project (calls 34 to 38, contract#members), and of its dataset (18 to 22)."""

from labeler_api.context import Call
from labeler_api.http.endpoint import Reply, endpoint
from labeler_api.http.paging import CursorQuery
from labeler_api.members.authorization import service as authorization_service
from labeler_api.members.dataset_permissions import service as dataset_permissions_service
from labeler_api.members.dataset_permissions.schemas import ChangePermission, InviteToDataset, PermissionResponse
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
    members, cursor = await authorization_service.page(call, project_id, query.cursor)
    return Reply(members, {"X-Next-Cursor": cursor} if cursor else {})


async def add_member(call: Call, project_id: str, body: AddMember) -> MemberResponse:
    """Add a member by e-mail address"""
    return await authorization_service.add(call, project_id, body)


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


async def invite_to_dataset(call: Call, dataset_id: str, body: InviteToDataset) -> PermissionResponse:
    """Make a user a member of a dataset, at once

    A member is an annotator of the dataset's project.
    """
    return await dataset_permissions_service.invite(call, dataset_id, body)


async def list_dataset_permissions(call: Call, dataset_id: str, query: CursorQuery) -> Reply[list[PermissionResponse]]:
    """List the members of a dataset

    Everybody but the owner is a `member`, whatever their role on the project. 5000 at most; the header X-Next-Cursor
    is there when more follow.
    """
    members, cursor = await dataset_permissions_service.page(call, dataset_id, query.cursor)
    return Reply(members, {"X-Next-Cursor": cursor} if cursor else {})


async def change_dataset_permission(
    call: Call, dataset_id: str, user_id: UserId, body: ChangePermission
) -> PermissionResponse:
    """Make a member of a dataset an annotator"""
    return await dataset_permissions_service.change(call, dataset_id, user_id, body)


async def remove_dataset_permission(call: Call, dataset_id: str, user_id: UserId) -> None:
    """Remove a member of a dataset"""
    await dataset_permissions_service.remove(call, dataset_id, user_id)


async def transfer_dataset(call: Call, dataset_id: str, body: TransferOwnership) -> PermissionResponse:
    """Make another member the owner of a dataset

    The former owner becomes a member. The project gets the same owner.
    """
    return await dataset_permissions_service.transfer(call, dataset_id, body)


_OF_PROJECT = "/projects/{project_id}/permissions"
_OF_DATASET = "/datasets/{dataset_id}/permissions"

routes = [
    endpoint("GET", _OF_PROJECT, list_members, errors=(404,), large=True),
    endpoint("POST", _OF_PROJECT, add_member, status=201, idempotent=True, errors=(400, 403, 404, 429)),
    endpoint("PATCH", f"{_OF_PROJECT}/{{user_id}}", change_member, errors=(400, 403, 404)),
    endpoint("DELETE", f"{_OF_PROJECT}/{{user_id}}", remove_member, status=204, errors=(400, 403, 404)),
    endpoint("POST", "/projects/{project_id}/transfer-ownership", transfer_ownership, errors=(400, 403, 404)),
    endpoint("POST", f"{_OF_DATASET}/invite", invite_to_dataset, idempotent=True, errors=(400, 403, 404, 409, 429)),
    endpoint("GET", _OF_DATASET, list_dataset_permissions, errors=(404,), large=True),
    endpoint("PUT", f"{_OF_DATASET}/{{user_id}}", change_dataset_permission, errors=(400, 403, 404)),
    endpoint("DELETE", f"{_OF_DATASET}/{{user_id}}", remove_dataset_permission, status=204, errors=(400, 403, 404)),
    endpoint("POST", f"{_OF_DATASET}/transfer-owner", transfer_dataset, errors=(400, 403, 404)),
]
