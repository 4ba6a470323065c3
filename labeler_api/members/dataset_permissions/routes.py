"""The members of a dataset, seen as `owner` and `member`."""

from labeler_api.context import Call
from labeler_api.http.endpoint import Reply
from labeler_api.http.paging import CursorQuery
from labeler_api.members.dataset_permissions import service as dataset_permissions_service
from labeler_api.members.dataset_permissions.schemas import ChangePermission, InviteToDataset, PermissionResponse
from labeler_api.members.membership.schemas import TransferOwnership
from labeler_api.users.schemas import UserId


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
