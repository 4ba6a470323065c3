"""Wire types of image locks."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from labeler_api.user_directory.directory import UserProfile

# The width of the column; an image's id is the path of its file without the extension.
ImageId = Annotated[str, Meta(min_length=1, max_length=255)]


class LockInfo(Struct):
    """Who holds an image, and until when unless they go on working."""

    image_id: str
    user_id: int
    locked_at: datetime
    expires_at: datetime
    heartbeat_at: datetime
    user_name: str | None
    user_email: str | None


class AcquireResponse(Struct):
    """`lock` is the caller's, `locked_by` somebody else's; exactly one of them is set."""

    status: Literal["acquired", "refreshed", "already_locked"]
    lock: LockInfo | None
    locked_by: LockInfo | None


class ReleaseResponse(Struct):
    """What became of the caller's lock; one that had expired counts as none."""

    status: Literal["released", "not_locked", "not_owner"]


class ForceResponse(Struct):
    """Whether anybody held the image; a lock that had expired counts as none."""

    status: Literal["released", "not_locked"]


class HeartbeatResponse(Struct):
    """`lock` is set when the caller holds the image still."""

    status: Literal["updated", "not_locked", "not_owner"]
    lock: LockInfo | None


class LockListResponse(Struct):
    """The live locks of a project."""

    locks: list[LockInfo]


def lock_info(row: Mapping[str, Any], users: Mapping[int, UserProfile]) -> LockInfo:
    """Join a row with the holder's name; an unknown user shows as null."""
    user = users.get(row["user_id"])
    return LockInfo(
        image_id=row["image_id"],
        user_id=row["user_id"],
        locked_at=row["locked_at"],
        expires_at=row["expires_at"],
        heartbeat_at=row["heartbeat_at"],
        user_name=user.full_name if user else None,
        user_email=user.email if user else None,
    )
