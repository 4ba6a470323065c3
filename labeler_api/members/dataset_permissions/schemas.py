"""Wire types of the dataset-permission calls, which know two roles: `owner`, and `member` for everybody else."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from labeler_api.members.membership.schemas import Email, member_response
from labeler_api.members.policy import Role
from labeler_api.user_directory.directory import UserProfile

# Any other word is refused with 400, as these calls always did, and not by the type with 422.
DatasetRole = Annotated[str, Meta(max_length=20, extra_json_schema={"enum": ["member"]})]


class InviteToDataset(Struct):
    """Whom to make a member of the dataset; `role` is `member`."""

    user_email: Email
    role: DatasetRole


class ChangePermission(Struct):
    """The role to give; `member` makes an annotator of somebody who had another role."""

    role: DatasetRole


class PermissionResponse(Struct):
    """A member of a dataset (contract#datasets)."""

    id: int
    dataset_id: str
    user_id: int
    role: str
    granted_by: int
    granted_at: datetime
    user_name: str | None
    user_email: str | None
    user_badge_color: str | None
    granted_by_name: str | None
    granted_by_email: str | None


def permission_response(
    dataset_id: str, row: Mapping[str, Any], users: Mapping[int, UserProfile]
) -> PermissionResponse:
    """Show a project's member as one of the dataset."""
    member = member_response(row, users)
    return PermissionResponse(
        id=member.id,
        dataset_id=dataset_id,
        user_id=member.user_id,
        role="owner" if member.role == Role.OWNER.text else "member",
        granted_by=member.granted_by,
        granted_at=member.granted_at,
        user_name=member.user_name,
        user_email=member.user_email,
        user_badge_color=member.user_badge_color,
        granted_by_name=member.granted_by_name,
        granted_by_email=member.granted_by_email,
    )
