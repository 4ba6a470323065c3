"""Annotations, their confirmation, and the progress that follows from them (contract 30-32, 43-47, 51, 52)."""

from labeler_api.annotations import service, service_confirm, service_status
from labeler_api.annotations.schemas import (
    AnnotationCreate,
    AnnotationId,
    AnnotationResponse,
    AnnotationUpdate,
    ConfirmResponse,
    DeletedResponse,
    PageQuery,
)
from labeler_api.annotations.schemas_status import (
    ImageConfirmResponse,
    ImageStatusList,
    ProjectStats,
    StatusQuery,
    TaskQuery,
)
from labeler_api.context import Call
from labeler_api.http.endpoint import Reply, endpoint
from labeler_api.locks.schemas import ImageId


async def create(call: Call, body: AnnotationCreate) -> AnnotationResponse:
    """Create an annotation

    Takes the image for a minute if nobody holds it. A `no_object` names its task in `attributes.task_type`, and is
    confirmed by its creator with it.
    """
    return await service.create(call, body)


async def get(call: Call, annotation_id: AnnotationId) -> AnnotationResponse:
    """Get an annotation"""
    return await service.get(call, annotation_id)


async def update(call: Call, annotation_id: AnnotationId, body: AnnotationUpdate) -> AnnotationResponse:
    """Change an annotation

    Only the keys that are sent change. With `version` in the body, or `If-Match: "<version>"`, a change that somebody
    made meanwhile is not overwritten: 409, with the present version in `conflict`.
    """
    return await service.update(call, annotation_id, body)


async def delete(call: Call, annotation_id: AnnotationId) -> DeletedResponse:
    """Delete an annotation

    Honours `If-Match: "<version>"`.
    """
    return await service.delete(call, annotation_id)


async def list_annotations(call: Call, project_id: str, query: PageQuery) -> Reply[list[AnnotationResponse]]:
    """List the annotations of a project, or of one of its images

    Ordered by id. `limit` is 1000 at most; `X-Next-Cursor` holds the `cursor` of the next page. The ETag follows the
    project's revision and the names shown.
    """
    page = await service.page(call, project_id, query)
    headers = {"ETag": page.etag}
    if page.next_cursor:
        headers["X-Next-Cursor"] = page.next_cursor
    return Reply(page.items, headers)


async def confirm(call: Call, annotation_id: AnnotationId) -> ConfirmResponse:
    """Confirm an annotation

    After the last draft of a task on an image, the image is confirmed in that task.
    """
    return await service_confirm.confirm(call, annotation_id)


async def unconfirm(call: Call, annotation_id: AnnotationId) -> ConfirmResponse:
    """Make an annotation a draft again"""
    return await service_confirm.unconfirm(call, annotation_id)


async def list_statuses(call: Call, project_id: str, query: StatusQuery) -> ImageStatusList:
    """List the status of each image of a project

    In the order of the list of images, so that pages of both line up.
    """
    return await service_status.page(call, project_id, query)


async def stats(call: Call, project_id: str) -> ProjectStats:
    """Count the images of each task by progress"""
    return await service_status.stats(call, project_id)


async def confirm_image(call: Call, project_id: str, image_id: ImageId, query: TaskQuery) -> ImageConfirmResponse:
    """Confirm an image, and the drafts on it

    In one task, or without `task_type` in each task that has annotations on the image.
    """
    return await service_confirm.confirm_image(call, project_id, image_id, query.task_type or None)


routes = [
    endpoint("POST", "/annotations", create, errors=(400, 403, 404, 423)),
    endpoint("GET", "/annotations/project/{project_id}", list_annotations, etag=True, errors=(404,)),
    endpoint("GET", "/annotations/{annotation_id}", get, errors=(404,)),
    endpoint("PUT", "/annotations/{annotation_id}", update, errors=(400, 403, 404, 409, 423)),
    endpoint("DELETE", "/annotations/{annotation_id}", delete, errors=(403, 404, 409, 423)),
    endpoint("POST", "/annotations/{annotation_id}/confirm", confirm, errors=(403, 404)),
    endpoint("POST", "/annotations/{annotation_id}/unconfirm", unconfirm, errors=(403, 404)),
    endpoint("GET", "/projects/{project_id}/images/status", list_statuses, etag=True, errors=(400, 404)),
    endpoint("GET", "/projects/{project_id}/stats", stats, errors=(404,)),
    endpoint("POST", "/projects/{project_id}/images/{image_id:path}/confirm", confirm_image, errors=(400, 403, 404)),
]
