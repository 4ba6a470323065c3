"""Wire types of datasets."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from labeler_api.projects.tasks import TaskType
from labeler_api.text.names import NAME
from labeler_api.user_directory.directory import UserProfile

Visibility = Literal["private", "public"]
DatasetName = Annotated[str, Meta(min_length=1, max_length=200, pattern=NAME)]
Description = Annotated[str, Meta(max_length=10_000)]

_BYTES_PER_MB = 1024**2
_BYTES_PER_GB = 1024**3


class CreateDataset(Struct):
    """A new dataset, and the tasks of its project. Null `task_types` are none, a null `visibility` is private."""

    name: DatasetName
    description: Description | None = None
    task_types: Annotated[list[TaskType], Meta(max_length=20, extra_json_schema={"uniqueItems": True})] | None = None
    visibility: Visibility | None = None


class UpdateDataset(Struct):
    """A new name and description, none where none is sent; without a visibility the dataset keeps its own."""

    name: DatasetName
    description: Description | None = None
    visibility: Visibility | Literal[""] | None = None


class DatasetsQuery(Struct):
    """Which part of the list; `limit` is capped at 100, `cursor` (from X-Next-Cursor) goes on where a page ended."""

    skip: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    limit: Annotated[int, Meta(ge=0)] = 100
    cursor: str = ""


class Position(Struct, array_like=True, frozen=True):
    """Where a page of datasets ended: the last row's place in the order."""

    created_at: Annotated[datetime, Meta(tz=True)]
    id: str


class DatasetResponse(Struct):
    """A dataset (contract#datasets)."""

    id: str
    name: str
    description: str | None
    owner_id: int
    format: str
    source: str
    visibility: str
    labeled: bool
    num_items: int
    size_mb: float | None
    storage_path: str | None
    tags: list[str] | None
    created_at: datetime
    updated_at: datetime
    owner_name: str | None
    owner_email: str | None
    owner_badge_color: str | None


class SizeResponse(Struct):
    """How much a dataset holds; megabytes and gigabytes are binary, to two decimals."""

    total_images: int
    total_bytes: int
    total_mb: float
    total_gb: float


def dataset_response(row: Mapping[str, Any], owner: UserProfile | None) -> DatasetResponse:
    """Join a row with its owner; `size_mb` and `tags` are always null (contract#datasets)."""
    return DatasetResponse(
        id=row["id"],
        name=row["name"],
        description=row["description"],
        owner_id=row["owner_id"],
        format=row["format"],
        source=row["storage_type"],
        visibility=row["visibility"],
        labeled=row["labeled"],
        num_items=row["num_images"],
        size_mb=None,
        storage_path=row["storage_path"],
        tags=None,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        owner_name=owner.full_name if owner else None,
        owner_email=owner.email if owner else None,
        owner_badge_color=owner.badge_color if owner else None,
    )


def size_response(images: int, size_bytes: int) -> SizeResponse:
    """State a size in each unit."""
    return SizeResponse(
        total_images=images,
        total_bytes=size_bytes,
        total_mb=round(size_bytes / _BYTES_PER_MB, 2),
        total_gb=round(size_bytes / _BYTES_PER_GB, 2),
    )
