"""Wire types of confirming."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from labeler_api.annotations.batch.schemas import MAX_ITEMS
from labeler_api.annotations.editing.schemas import AnnotationId
from labeler_api.annotations.progress.schemas import StatusName, TaskType


class ConfirmResponse(Struct):
    """The state of an annotation after it was confirmed or unconfirmed."""

    annotation_id: int
    annotation_state: str
    confirmed_at: datetime | None
    confirmed_by: int | None
    confirmed_by_name: str | None


class BulkConfirm(Struct):
    """The annotations to confirm; one that is named twice is confirmed once."""

    annotation_ids: Annotated[list[AnnotationId], Meta(max_length=MAX_ITEMS)]


class BulkConfirmResponse(Struct):
    """What became of each annotation: its state, or a sentence that says why it stayed as it is."""

    confirmed: int
    failed: int
    results: list[ConfirmResponse]
    errors: list[str]


class TaskQuery(Struct):
    """Which task; none means each task of the image."""

    task_type: TaskType = ""


class ImageConfirmResponse(Struct):
    """An image after it was confirmed or unconfirmed, its tasks taken together."""

    image_id: str
    is_confirmed: bool
    confirmed_at: datetime | None
    status: StatusName
    total_annotations: int
    confirmed_annotations: int


def image_confirm(image_id: str, row: Mapping[str, Any]) -> ImageConfirmResponse:
    """Say what the statuses of an image are, taken together; nobody began one that has none."""
    confirmed, begun = bool(row["is_confirmed"]), row["total_annotations"] is not None
    return ImageConfirmResponse(
        image_id=image_id,
        is_confirmed=confirmed,
        confirmed_at=row["confirmed_at"] if confirmed else None,
        status="completed" if confirmed else "in-progress" if begun else "not-started",
        total_annotations=row["total_annotations"] or 0,
        confirmed_annotations=row["confirmed_annotations"] or 0,
    )
