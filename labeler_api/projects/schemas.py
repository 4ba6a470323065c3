"""Wire types of projects."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from labeler_api.db.page_bytes import is_left_out
from labeler_api.directory import UserProfile
from labeler_api.projects.tasks import TASK_TYPES

StoredObject = Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "object"})]


class ClassInfo(Struct):
    """A class as a project stores it; the counts are computed and never read from there."""

    name: str
    color: str
    description: str | None = None
    order: int = 0
    image_count: int = 0
    bbox_count: int = 0


class ProjectResponse(Struct):
    """A project (contract#projects). The last updater's names are filled by calls 9 and 29 only."""

    id: str
    name: str
    description: str | None
    dataset_id: str
    owner_id: int
    task_types: list[str]
    task_config: StoredObject
    task_classes: dict[str, dict[str, ClassInfo]]
    settings: StoredObject
    total_images: int
    annotated_images: int
    total_annotations: int
    status: str
    created_at: datetime
    updated_at: datetime
    last_updated_by: int | None
    dataset_name: str | None
    dataset_num_items: int | None
    last_updated_by_name: str | None
    last_updated_by_email: str | None


class AddTaskType(Struct):
    """The task to add: classification, detection, segmentation, geometry, keypoint or line."""

    task_type: Annotated[str, Meta(min_length=1, max_length=50, extra_json_schema={"enum": list(TASK_TYPES)})]


@dataclass(frozen=True, slots=True)
class ClassCount:
    """How many annotations a class has, and on how many images."""

    annotations: int
    images: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What the annotations of a project add up to; `classes` by (task type, class id)."""

    annotations: int
    images: int
    classes: dict[tuple[str, str], ClassCount]


_classes = msgspec.json.Decoder(dict[str, dict[str, ClassInfo]])


def counted_classes(stored: str, counts: Counts) -> dict[str, dict[str, ClassInfo]]:
    """Read the stored classes of every task, each task's in their order, and put the live counts in."""
    if is_left_out(stored):
        return {}
    tasks = _classes.decode(stored)
    none = ClassCount(annotations=0, images=0)
    for task_type, classes in tasks.items():
        for class_id, info in classes.items():
            count = counts.classes.get((task_type, class_id), none)
            info.image_count, info.bbox_count = count.images, count.annotations
        # PostgreSQL keeps keys by their length. Two of one `order`, as older clients made, stand by their ids.
        tasks[task_type] = dict(sorted(classes.items(), key=_place))
    return tasks


def _place(item: tuple[str, ClassInfo]) -> tuple[int, str]:
    class_id, info = item
    return info.order, class_id


def project_response(row: Mapping[str, Any], counts: Counts, updater: UserProfile | None = None) -> ProjectResponse:
    """Join a project's row with its counts and the name of its last updater."""
    return ProjectResponse(
        id=row["id"],
        name=row["name"],
        description=row["description"],
        dataset_id=row["dataset_id"],
        owner_id=row["owner_id"],
        task_types=row["task_types"],
        task_config=msgspec.Raw(row["task_config"]),
        task_classes=counted_classes(row["task_classes"], counts),
        settings=msgspec.Raw(row["settings"]),
        total_images=row["total_images"],
        annotated_images=row["annotated_images"],
        total_annotations=row["total_annotations"],
        status=row["status"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        last_updated_by=row["last_updated_by"],
        dataset_name=row["dataset_name"],
        dataset_num_items=row["dataset_num_items"],
        last_updated_by_name=updater.full_name if updater else None,
        last_updated_by_email=updater.email if updater else None,
    )
