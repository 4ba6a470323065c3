"""Deletion of datasets and projects (calls 12, 13 and 27, contract#deleting), and of images."""

from labeler_api.deletion.datasets.routes import delete_dataset, delete_project, deletion_impact
from labeler_api.deletion.images.routes import delete_image, delete_images, list_deleted_images, restore_images
from labeler_api.errors import BadRequest, Conflict, Forbidden, Locked, NotFound
from labeler_api.http.endpoint import endpoint

routes = [
    endpoint("GET", "/datasets/{dataset_id}/deletion-impact", deletion_impact, errors=(Forbidden, NotFound)),
    endpoint(
        "DELETE",
        "/datasets/{dataset_id}",
        delete_dataset,
        errors=(BadRequest, Forbidden, NotFound, Conflict),
        long=True,
    ),
    endpoint(
        "DELETE", "/datasets/{dataset_id}/images/{image_id:path}", delete_image, errors=(Forbidden, NotFound, Locked)
    ),
    endpoint(
        "POST",
        "/datasets/{dataset_id}/images/delete",
        delete_images,
        errors=(Forbidden, NotFound, Locked),
        idempotent=True,
        long=True,
    ),
    endpoint(
        "POST",
        "/datasets/{dataset_id}/images/restore",
        restore_images,
        errors=(BadRequest, Forbidden, NotFound, Conflict),
        idempotent=True,
        long=True,
    ),
    endpoint("GET", "/datasets/{dataset_id}/images/deleted", list_deleted_images, errors=(Forbidden, NotFound)),
    endpoint("DELETE", "/projects/{project_id}", delete_project, status=204, errors=(Forbidden, NotFound), long=True),
]
