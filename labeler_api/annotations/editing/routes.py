"""Create, read, change and delete an annotation."""

from typing import Annotated

from msgspec import Meta

from labeler_api.annotations import geometry_schema
from labeler_api.annotations.editing import service as editing_service
from labeler_api.annotations.editing.schemas import (
    AnnotationCreate,
    AnnotationId,
    AnnotationResponse,
    AnnotationUpdate,
    DeletedResponse,
)
from labeler_api.context import Call

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
