"""Annotations, their confirmation, and progress (calls 30 to 33 and 43 to 53, contract#annotations)."""

from typing import Annotated

from msgspec import Meta

from labeler_api.annotations import geometry_schema
from labeler_api.annotations.batch import service as batch_service
from labeler_api.annotations.batch.schemas import (
    MAX_BATCH_BYTES,
    BatchCreate,
    BatchResponse,
    BulkConfirm,
    BulkConfirmResponse,
)
from labeler_api.annotations.editing import service as editing_service
from labeler_api.annotations.editing.schemas import (
    AnnotationCreate,
    AnnotationId,
    AnnotationResponse,
    AnnotationUpdate,
    ConfirmResponse,
    DeletedResponse,
    PageQuery,
)
from labeler_api.annotations.history import service as history_service
from labeler_api.annotations.history.schemas import (
    AnnotationHistoryQuery,
    HistoryEntry,
    ProjectHistoryQuery,
    Restore,
)
from labeler_api.annotations.page import service as page_service
from labeler_api.annotations.progress import service as progress_service
from labeler_api.annotations.progress.schemas import (
    ImageConfirmResponse,
    ImageStatusList,
    ProjectStats,
    StatusQuery,
    TaskQuery,
)
from labeler_api.annotations.review import service as review_service
from labeler_api.context import Call
from labeler_api.http.endpoint import Encoded, Reply, endpoint
from labeler_api.locks.image_locks.schemas import ImageId

NewAnnotation = Annotated[AnnotationCreate, Meta(extra_json_schema=geometry_schema.create_schema())]


async def create(call: Call, body: NewAnnotation) -> AnnotationResponse:
    """Create an annotation

    Takes the image for a minute if nobody holds it. What equals an annotation that the caller deleted in the last 15
    minutes is an undo: that annotation comes back with its id and its history, as a draft. A `no_object` names its task
    in `attributes.task_type`, and is confirmed by its creator with it; without one it takes the task of the `no_object`
    that it brings back, or the project's only task. A polyline whose geometry calls itself a polygon is stored as a
    polyline.
    """
    return await editing_service.create(call, body)


async def get(call: Call, annotation_id: AnnotationId) -> AnnotationResponse:
    """Get an annotation"""
    return await editing_service.get(call, annotation_id)


async def update(call: Call, annotation_id: AnnotationId, body: AnnotationUpdate) -> AnnotationResponse:
    """Change an annotation

    Only the keys that are sent change. With `version` in the body, or `If-Match: "<version>"`, a change that somebody
    made meanwhile is not overwritten: 409, with the present version in `conflict`.
    """
    return await editing_service.update(call, annotation_id, body)


async def delete(call: Call, annotation_id: AnnotationId) -> DeletedResponse:
    """Delete an annotation

    Honours `If-Match: "<version>"`.
    """
    return await editing_service.delete(call, annotation_id)


async def list_annotations(call: Call, project_id: str, query: PageQuery) -> Reply[list[AnnotationResponse]]:
    """List the annotations of a project, or of one of its images

    Ordered by id. `limit` is 1000 at most; `X-Next-Cursor` holds the `cursor` of the next page. The ETag follows the
    project's revision and the names shown.
    """
    page = await page_service.page(call, project_id, query)
    headers = {"ETag": page.etag}
    if page.next_cursor:
        headers["X-Next-Cursor"] = page.next_cursor
    return Reply(Encoded(b"[]") if page.encoded is None else page.encoded, headers)


async def confirm(call: Call, annotation_id: AnnotationId) -> ConfirmResponse:
    """Confirm an annotation

    After the last draft of a task on an image, the image is confirmed in that task.
    """
    return await review_service.confirm(call, annotation_id)


async def unconfirm(call: Call, annotation_id: AnnotationId) -> ConfirmResponse:
    """Make an annotation a draft again"""
    return await review_service.unconfirm(call, annotation_id)


async def create_batch(call: Call, body: BatchCreate) -> BatchResponse:
    """Create many annotations

    Up to 10 000, of one project or of several. Each item is judged for itself: what is refused is counted in `failed`
    and has a sentence in `errors`, which begins with its index; the others are made, all of them or none.
    """
    return await batch_service.create(call, body)


async def confirm_many(call: Call, body: BulkConfirm) -> BulkConfirmResponse:
    """Confirm many annotations

    Annotators confirm their own, reviewers anybody's; what may not be confirmed is counted in `failed` and has a
    sentence in `errors`.
    """
    return await review_service.confirm_many(call, body)


async def history_of_project(call: Call, project_id: str, query: ProjectHistoryQuery) -> Reply[list[HistoryEntry]]:
    """List what was written to a project's annotations

    Newest first. `limit` is 100 at most; `X-Next-Cursor` holds the `cursor` of the next page.
    """
    entries, cursor = await history_service.of_project(call, project_id, query)
    return _page(entries, cursor)


async def history(call: Call, annotation_id: AnnotationId, query: AnnotationHistoryQuery) -> Reply[list[HistoryEntry]]:
    """List what was written to an annotation

    Newest first, also of an annotation that was deleted. `limit` is 1000 at most; `X-Next-Cursor` holds the `cursor` of
    the next page.
    """
    entries, cursor = await history_service.of_annotation(call, annotation_id, query)
    return _page(entries, cursor)


async def restore(call: Call, annotation_id: AnnotationId, body: Restore) -> AnnotationResponse:
    """Bring a revision of an annotation back

    As a new version, which is a revision itself; an annotation that was deleted comes back under its id. Revisions of
    which the history holds a part only are refused with 409. Honours `version` in the body and `If-Match`.
    """
    return await history_service.restore(call, annotation_id, body)


async def list_statuses(call: Call, project_id: str, query: StatusQuery) -> Reply[ImageStatusList]:
    """List the status of each image of a project

    In the order of the list of images, so that pages of both line up. Behind the page stand, in the same order, the
    other images that somebody began, 10 000 at most: whatever is missing is not started. A page that a `cursor` leads
    to stands alone. The ETag follows the project's revision and that of its images.
    """
    found, etag = await progress_service.page(call, project_id, query)
    return Reply(Encoded(b"") if found is None else found, {"ETag": etag})


async def stats(call: Call, project_id: str) -> ProjectStats:
    """Count the images of each task by progress"""
    return await progress_service.stats(call, project_id)


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


def _page(entries: list[HistoryEntry], cursor: str | None) -> Reply[list[HistoryEntry]]:
    return Reply(entries, {"X-Next-Cursor": cursor} if cursor else {})


routes = [
    endpoint("POST", "/annotations", create, idempotent=True, errors=(400, 403, 404, 423)),
    endpoint("POST", "/annotations/batch", create_batch, idempotent=True, max_json_bytes=MAX_BATCH_BYTES),
    endpoint("POST", "/annotations/bulk-confirm", confirm_many),
    endpoint("GET", "/annotations/history/project/{project_id}", history_of_project, errors=(404,), large=True),
    endpoint("GET", "/annotations/history/annotation/{annotation_id}", history, errors=(404,), large=True),
    endpoint("POST", "/annotations/{annotation_id}/restore", restore, if_match=True, errors=(403, 404, 409, 423)),
    endpoint("GET", "/annotations/project/{project_id}", list_annotations, etag=True, errors=(404,), large=True),
    endpoint("GET", "/annotations/{annotation_id}", get, errors=(404,), large=True),
    endpoint("PUT", "/annotations/{annotation_id}", update, if_match=True, errors=(400, 403, 404, 409, 423)),
    endpoint("DELETE", "/annotations/{annotation_id}", delete, if_match=True, errors=(403, 404, 409, 423)),
    endpoint("POST", "/annotations/{annotation_id}/confirm", confirm, errors=(403, 404, 423)),
    endpoint("POST", "/annotations/{annotation_id}/unconfirm", unconfirm, errors=(403, 404, 423)),
    endpoint("GET", "/projects/{project_id}/images/status", list_statuses, etag=True, errors=(400, 404), large=True),
    endpoint("GET", "/projects/{project_id}/stats", stats, errors=(404,)),
    endpoint(
        "POST", "/projects/{project_id}/images/{image_id:path}/confirm", confirm_image, errors=(400, 403, 404, 423)
    ),
    endpoint(
        "POST", "/projects/{project_id}/images/{image_id:path}/unconfirm", unconfirm_image, errors=(403, 404, 423)
    ),
]
