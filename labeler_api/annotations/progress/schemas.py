"""Wire types of image statuses and project statistics."""

from collections.abc import Mapping
from datetime import datetime
from itertools import repeat
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

TaskType = Annotated[str, Meta(max_length=50)]


StatusName = Literal["not-started", "in-progress", "completed"]


# By whether the image is confirmed; None where nobody began.
_STATUS: dict[bool | None, StatusName] = {None: "not-started", False: "in-progress", True: "completed"}


class ImageStatus(Struct):
    """The work on one image in one task, or in all of them together (`task_type` null); id 0 where nobody began."""

    id: int
    project_id: str
    image_id: str
    task_type: str | None
    status: StatusName
    first_modified_at: datetime | None
    last_modified_at: datetime | None
    confirmed_at: datetime | None
    total_annotations: int
    confirmed_annotations: int
    draft_annotations: int
    is_image_confirmed: bool
    has_no_object: bool


class ImageStatusList(Struct):
    """A page that lines up with the page of images at the same position; `total` counts the images.

    Behind the page stand, in the same order, the other images that somebody began: 10 000 at most, none behind a page
    that a cursor leads to.
    """

    statuses: list[ImageStatus]
    total: int
    project_id: str
    next_cursor: str | None


class StatusQuery(Struct):
    """Which task, and which page; `limit` beyond 1..200 is refused with 400, a negative one with 422."""

    task_type: TaskType = ""
    limit: Annotated[int, Meta(extra_json_schema={"minimum": 1, "maximum": 200})] = 50
    offset: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    cursor: str = ""


class TaskStats(Struct):
    """How far a task is. Every image is counted in exactly one of the four numbers.

    A confirmed image is `completed` in its status and stands here under `confirmed`: dashboards add the two, and
    would otherwise show it twice. `completed` is what is complete and not confirmed, which no image is today.
    """

    task_type: str
    total_images: int
    not_started: int
    in_progress: int
    completed: int
    confirmed: int


class ProjectStats(Struct):
    """The progress of a project, a line for each of its tasks."""

    project_id: str
    total_images: int
    task_stats: list[TaskStats]


def image_statuses(columns: Mapping[str, Any], project_id: str, task_type: str | None) -> list[ImageStatus]:
    """Make entries from columns of equal length; an image without a status row is one that nobody began."""
    confirmed = columns["is_image_confirmed"]
    # By position and not by name: of ten thousand entries that is a quarter of the work.
    return list(
        map(
            ImageStatus,
            columns["id"],
            repeat(project_id),
            columns["image_id"],
            repeat(task_type),
            map(_STATUS.__getitem__, confirmed),
            columns["first_modified_at"],
            columns["last_modified_at"],
            columns["confirmed_at"],
            columns["total_annotations"],
            columns["confirmed_annotations"],
            columns["draft_annotations"],
            map(bool, confirmed),
            columns["has_no_object"],
        )
    )


def task_stats(task_type: str, total_images: int, counts: Mapping[str, int] | None) -> TaskStats:
    """Make a line of the statistics; `counts` None means that nobody began the task."""
    in_progress, confirmed = (counts["in_progress"], counts["confirmed"]) if counts else (0, 0)
    return TaskStats(
        task_type=task_type,
        total_images=total_images,
        not_started=max(0, total_images - in_progress - confirmed),
        in_progress=in_progress,
        completed=0,
        confirmed=confirmed,
    )
