"""Use cases of a dataset's permissions: the members of its project, seen as `owner` and `member`.

`member` is written as annotator, and read for every role below the owner's. Nothing is stored beside the roles on the
project.
"""

from labeler_api.context import Call
from labeler_api.db.pool import Row
from labeler_api.errors import BadRequest, Conflict, NotFound
from labeler_api.members.authorization import service as authorization_service
from labeler_api.members.authorization.service import Access
from labeler_api.members.dataset_permissions.schemas import (
    ChangePermission,
    InviteToDataset,
    PermissionResponse,
    permission_response,
)
from labeler_api.members.membership import service as membership_service
from labeler_api.members.membership.schemas import TransferOwnership
from labeler_api.members.policy import ProjectLock, Role


async def invite(call: Call, dataset: str, body: InviteToDataset) -> PermissionResponse:
    """Make a user a member at once. Raises Conflict if they are one already."""
    wanted = _stored_role(body.role)
    try:
        access, row = await membership_service.add_user(call, dataset, body.user_email, wanted)
    except BadRequest as error:
        if error.code != "already_member":
            raise
        raise Conflict(error.detail, code=error.code) from None
    return await _response(call, access, row)


async def page(call: Call, dataset: str, cursor: str) -> tuple[list[PermissionResponse], str | None]:
    """List members of a dataset with their names; and the cursor of the next page."""
    access, rows, following = await membership_service.rows_of(call, dataset, cursor)
    users = await membership_service.named(call, rows)
    return [permission_response(access.dataset_id, row, users) for row in rows], following


async def change(call: Call, dataset: str, user_id: int, body: ChangePermission) -> PermissionResponse:
    """Make a member an annotator. Raises BadRequest for the caller's own row, and as `membership.service.change`."""
    wanted = _stored_role(body.role)
    if user_id == call.user_id:
        async with call.db.read() as connection:  # 404 and 403 come first
            await authorization_service.authorize(connection, call, dataset, Role.ADMIN, ProjectLock.NONE)
        raise BadRequest("You cannot change your own role.", code="own_role")
    access, row = await membership_service.set_role(call, dataset, user_id, wanted)
    return await _response(call, access, row)


async def remove(call: Call, dataset: str, user_id: int) -> None:
    """Remove a member."""
    await membership_service.remove(call, dataset, user_id)


async def transfer(call: Call, dataset: str, body: TransferOwnership) -> PermissionResponse:
    """Make another member the owner; the former one becomes a member."""
    access, row = await membership_service.move(
        call, dataset, body.new_owner_user_id, former=Role.ANNOTATOR, stranger=NotFound
    )
    return await _response(call, access, row)


def _stored_role(text: str) -> Role:
    """Read a dataset's role as the project's."""
    if text not in {"owner", "member"}:
        raise BadRequest("A dataset knows the roles owner and member.", code="unknown_role")
    return Role.OWNER if text == "owner" else Role.ANNOTATOR


async def _response(call: Call, access: Access, row: Row) -> PermissionResponse:
    return permission_response(access.dataset_id, row, await membership_service.named(call, [row]))
