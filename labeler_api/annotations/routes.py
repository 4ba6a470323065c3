"""Annotations, their confirmation, and progress (calls 30 to 33 and 43 to 53, contract#annotations)."""

from labeler_api.annotations.batch.routes import create_batch
from labeler_api.annotations.batch.schemas import MAX_BATCH_BYTES
from labeler_api.annotations.editing.routes import create, delete, get, update
from labeler_api.annotations.history.routes import history, history_of_project, restore
from labeler_api.annotations.page.routes import list_annotations
from labeler_api.annotations.progress.routes import list_statuses, stats
from labeler_api.annotations.review.routes import confirm, confirm_image, confirm_many, unconfirm, unconfirm_image
from labeler_api.errors import BadRequest, Conflict, Forbidden, Locked, NotFound
from labeler_api.http.endpoint import endpoint, links_to

_AFTER_CREATE = [
    *links_to(
        {"annotation_id": "$response.body#/id"},
        "annotations_get",
        "annotations_update",
        "annotations_confirm",
        "annotations_unconfirm",
        "annotations_history",
        "annotations_restore",
        "annotations_delete",
    ),
]

routes = [
    endpoint(
        "POST",
        "/annotations",
        create,
        links=_AFTER_CREATE,
        idempotent=True,
        errors=(BadRequest, Forbidden, NotFound, Locked),
    ),
    endpoint("POST", "/annotations/batch", create_batch, idempotent=True, max_json_bytes=MAX_BATCH_BYTES),
    endpoint("POST", "/annotations/bulk-confirm", confirm_many),
    endpoint("GET", "/annotations/history/project/{project_id}", history_of_project, errors=(NotFound,), large=True),
    endpoint("GET", "/annotations/history/annotation/{annotation_id}", history, errors=(NotFound,), large=True),
    endpoint(
        "POST",
        "/annotations/{annotation_id}/restore",
        restore,
        if_match=True,
        errors=(Forbidden, NotFound, Conflict, Locked),
    ),
    endpoint("GET", "/annotations/project/{project_id}", list_annotations, etag=True, errors=(NotFound,), large=True),
    endpoint("GET", "/annotations/{annotation_id}", get, errors=(NotFound,), large=True),
    endpoint(
        "PUT",
        "/annotations/{annotation_id}",
        update,
        if_match=True,
        errors=(BadRequest, Forbidden, NotFound, Conflict, Locked),
    ),
    endpoint(
        "DELETE", "/annotations/{annotation_id}", delete, if_match=True, errors=(Forbidden, NotFound, Conflict, Locked)
    ),
    endpoint("POST", "/annotations/{annotation_id}/confirm", confirm, errors=(Forbidden, NotFound, Locked)),
    endpoint("POST", "/annotations/{annotation_id}/unconfirm", unconfirm, errors=(Forbidden, NotFound, Locked)),
    endpoint(
        "GET",
        "/projects/{project_id}/images/status",
        list_statuses,
        etag=True,
        errors=(BadRequest, NotFound),
        large=True,
    ),
    endpoint("GET", "/projects/{project_id}/stats", stats, errors=(NotFound,)),
    endpoint(
        "POST",
        "/projects/{project_id}/images/{image_id:path}/confirm",
        confirm_image,
        errors=(BadRequest, Forbidden, NotFound, Locked),
    ),
    endpoint(
        "POST",
        "/projects/{project_id}/images/{image_id:path}/unconfirm",
        unconfirm_image,
        errors=(Forbidden, NotFound, Locked),
    ),
]
