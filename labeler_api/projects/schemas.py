"""Wire types of projects."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from labeler_api.db.page_bytes import is_left_out
from labeler_api.projects.tasks import TASK_TYPES, TaskType
from labeler_api.text.names import NAME
from labeler_api.text.patterns import CLASS_ID, COLOR, STATUS
from labeler_api.user_directory.directory import UserProfile

Color = Annotated[str, Meta(max_length=60, pattern=COLOR)]
# Annotations keep the id in 50 characters and the name in 255.
ClassId = Annotated[str, Meta(min_length=1, max_length=50, pattern=CLASS_ID)]
ClassName = Annotated[str, Meta(min_length=1, max_length=255, pattern=NAME)]
ClassDescription = Annotated[str, Meta(max_length=10_000)]
# Of a task's classes together: ten thousand with a name and a colour, or some hundreds with the longest description.
MAX_CLASSES_BYTES = 4 * 1024 * 1024
ClassOrder = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class NewClass(Struct):
    """A class of a new project; without an `order` it follows those before it."""

    name: ClassName
    color: Color
    description: ClassDescription | None = None
    order: ClassOrder | None = None


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


# Widths of the columns.
ProjectName = Annotated[str, Meta(min_length=1, max_length=255, pattern=NAME)]
Description = Annotated[str, Meta(max_length=10_000)]
Status = Annotated[str, Meta(min_length=1, max_length=20, pattern=STATUS)]
JsonObject = dict[str, Raw]  # an object whose values are stored as they came
# Each, as PostgreSQL writes it: every list of projects carries them, a hundred at a time.
MAX_FREE_BYTES = 64 * 1024
_MAX_CLASSES = 10_000  # of one task


class CreateProject(Struct):
    """The project of a dataset that has none. `classes` by task and class id; `dataset_id` may be any id of it."""

    name: ProjectName
    dataset_id: Annotated[str, Meta(min_length=1, max_length=100)]
    task_types: Annotated[list[TaskType], Meta(max_length=20, extra_json_schema={"uniqueItems": True})]
    task_config: JsonObject
    classes: Annotated[
        dict[TaskType, Annotated[dict[ClassId, NewClass], Meta(max_length=_MAX_CLASSES)]],
        Meta(extra_json_schema={"propertyNames": {"enum": list(TASK_TYPES)}}),
    ]
    description: Description | None = None
    settings: JsonObject | None = None


class UpdateProject(Struct):
    """What to change of a project; keys that are not sent stay. Classes have calls of their own."""

    name: ProjectName | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    task_config: JsonObject | UnsetType = UNSET
    settings: JsonObject | UnsetType = UNSET
    status: Status | UnsetType = UNSET


class ProjectsQuery(Struct):
    """Which part of the list; `limit` is capped at 100, `cursor` (from X-Next-Cursor) goes on where a page ended."""

    skip: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    limit: Annotated[int, Meta(ge=0)] = 100
    cursor: str = ""


class Position(Struct, array_like=True, frozen=True):
    """Where a page of projects ended: the last row's place in the order."""

    created_at: Annotated[datetime, Meta(tz=True)]
    id: str
