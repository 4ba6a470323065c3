"""Wire types of what changes projects, and of their list."""

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from labeler_api.names import NAME
from labeler_api.patterns import STATUS
from labeler_api.projects.schemas_classes import ClassId, NewClass
from labeler_api.projects.tasks import TASK_TYPES, TaskType

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
