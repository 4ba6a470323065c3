"""Wire types of images."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

Offset = Annotated[int, Meta(ge=0, le=2**31 - 1)]


# Beyond it the call answers 400, as it always did, and not the type with 422.
PageLimit = Annotated[int, Meta(extra_json_schema={"minimum": 1, "maximum": 200})]


class PreviewQuery(Struct):
    """Which images of a dataset to preview (call 10, contract#datasets)."""

    limit: Offset = 12
    random: bool = True


class PreviewImage(Struct):
    """An image of the preview; `file_name` is the id, without extension."""

    id: str
    file_name: str
    width: int | None
    height: int | None
    url: str
    thumbnail_url: str | None


class PageQuery(Struct):
    """Which images of a project to list (call 28, contract#images); a cursor takes the place of the offset."""

    limit: PageLimit = 50
    offset: Offset = 0
    cursor: str | None = None


class ImageMetadata(Struct):
    """An image of a project; `filename` and `file_name` are both the id with the extension of the stored file."""

    id: str
    key: str
    filename: str
    file_name: str
    folder_path: str | None
    size: int
    last_modified: datetime
    url: str
    thumbnail_url: str | None
    width: int | None
    height: int | None


class ImagePage(Struct):
    """A page of a project's images, and how many there are in all."""

    images: list[ImageMetadata]
    total: int
    dataset_id: str
    project_id: str


class TaskProgress(Struct):
    """How many images of a task are in which state."""

    task_type: str
    not_started: int
    in_progress: int
    completed: int


class SummaryImage(Struct):
    """One of the first images by upload time."""

    image_id: str
    file_name: str
    url: str
    thumbnail_url: str | None


class DatasetSummary(Struct):
    """Counts and thumbnail links of a dataset (contract#datasets)."""

    dataset_id: str
    name: str
    total_images: int
    total_bytes: int
    annotated_images: int
    total_annotations: int
    tasks: list[TaskProgress]
    thumbnails: list[SummaryImage]
    updated_at: datetime
