"""Wire types of uploads."""

from typing import Annotated

from msgspec import Meta, Struct


class FailedFile(Struct):
    """A file that was not taken, and why."""

    filename: str
    reason: str


class UploadedImage(Struct):
    """An image that was stored; `replaced` when its path was there already."""

    id: str
    file_name: str
    width: int
    height: int
    size: int
    replaced: bool


class UploadSummary(Struct):
    """What became of an upload; `folder_structure` counts the images of each folder.

    `failed` names each file of the form that was not taken; of those in archives only as many as make a hundred.
    `failed_total` counts all of them.
    """

    images_uploaded: int
    annotations_imported: int
    storage_bytes_used: int
    folder_structure: dict[str, int]
    failed: list[FailedFile]
    failed_total: int
    images: list[UploadedImage]


class UploadForm(Struct):
    """The form of an upload; file names carry relative paths, and a ZIP is expanded."""

    files: Annotated[list[bytes], Meta(min_length=1)]
    annotation_file: bytes | None = None
