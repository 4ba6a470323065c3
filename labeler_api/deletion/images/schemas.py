"""Wire types of deleting images and of bringing them back."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from labeler_api.locks.image_locks.schemas import ImageId

# What one transaction moves in some seconds with a hundred annotations each; it holds a connection of those for long
# work, of which a process has few.
MAX_IMAGES = 1000

DeletionId = Annotated[int, Meta(ge=1, le=2**63 - 1)]
# Beyond it the answer would sign more links than a page of images does.
PageLimit = Annotated[int, Meta(ge=1, le=200)]


class DeleteImages(Struct):
    """The images to delete; one that is named twice is deleted once."""

    image_ids: Annotated[list[ImageId], Meta(min_length=1, max_length=MAX_IMAGES)]


class ImageDeletion(Struct):
    """A deleted image and the number of its annotations; `deletion_id` brings it back."""

    deletion_id: int
    image_id: str
    annotations: int


class DeletedImages(Struct):
    """What was deleted, and until when it can be brought back; `missing` are no images of the dataset."""

    dataset_id: str
    deleted: int
    annotations: int
    restorable_until: datetime
    images: list[ImageDeletion]
    missing: list[str]


class RestoreImages(Struct):
    """The deletions to undo, as the deletion answered them or as the list of deleted images tells them."""

    deletion_ids: Annotated[list[DeletionId], Meta(min_length=1, max_length=MAX_IMAGES)]


class RestoredImages(Struct):
    """What came back; `missing` are deletions that the dataset does not have, or not any more."""

    dataset_id: str
    restored: int
    annotations: int
    image_ids: list[str]
    missing: list[int]


class DeletedQuery(Struct):
    """Which deleted images to list; `cursor` is the X-Next-Cursor of the page before."""

    limit: PageLimit = 50
    cursor: str = ""


class DeletedImage(Struct):
    """A deleted image. Where `is_restorable` is false it is kept for the versions that have annotations of it."""

    deletion_id: int
    image_id: str
    file_name: str
    folder_path: str | None
    size: int
    width: int | None
    height: int | None
    annotations: int
    deleted_at: datetime
    deleted_by: int
    deleted_by_name: str | None
    restorable_until: datetime
    is_restorable: bool
    url: str
    thumbnail_url: str | None


class DeletedImagePage(Struct):
    """A page of deleted images, the latest deletion first."""

    dataset_id: str
    images: list[DeletedImage]
