"""Confirm annotations and images, and take it back."""

from labeler_api.annotations.editing.schemas import AnnotationId
from labeler_api.annotations.review import service as review_service
from labeler_api.annotations.review.schemas import (
    BulkConfirm,
    BulkConfirmResponse,
    ConfirmResponse,
    ImageConfirmResponse,
    TaskQuery,
)
from labeler_api.context import Call
from labeler_api.locks.image_locks.schemas import ImageId


async def confirm(call: Call, annotation_id: AnnotationId) -> ConfirmResponse:
    """Confirm an annotation

    After the last draft of a task on an image, the image is confirmed in that task.
    """
    return await review_service.confirm(call, annotation_id)


async def unconfirm(call: Call, annotation_id: AnnotationId) -> ConfirmResponse:
    """Make an annotation a draft again"""
    return await review_service.unconfirm(call, annotation_id)


async def confirm_many(call: Call, body: BulkConfirm) -> BulkConfirmResponse:
    """Confirm many annotations

    Annotators confirm their own, reviewers anybody's; what may not be confirmed is counted in `failed` and has a
    sentence in `errors`.
    """
    return await review_service.confirm_many(call, body)


async def confirm_image(call: Call, project_id: str, image_id: ImageId, query: TaskQuery) -> ImageConfirmResponse:
    """Confirm an image, and the drafts on it

    In one task, or without `task_type` in each task that has annotations on the image.
    """
    return await review_service.confirm_image(call, project_id, image_id, query.task_type or None)


async def unconfirm_image(call: Call, project_id: str, image_id: ImageId, query: TaskQuery) -> ImageConfirmResponse:
    """Take the confirmation of an image back

    What is confirmed on it becomes a draft, in one task, or without `task_type` in each.
    """
    return await review_service.unconfirm_image(call, project_id, image_id, query.task_type or None)
