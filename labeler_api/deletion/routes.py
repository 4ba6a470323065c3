"""Deletion of datasets and projects (calls 12, 13 and 27, contract#deleting), and of images."""

from labeler_api.deletion.datasets.routes import delete_dataset, delete_project, deletion_impact
from labeler_api.deletion.images.routes import delete_image, delete_images, list_deleted_images, restore_images
from labeler_api.http.endpoint import endpoint

routes = [
    endpoint("GET", "/datasets/{dataset_id}/deletion-impact", deletion_impact, errors=(403, 404)),
    endpoint("DELETE", "/datasets/{dataset_id}", delete_dataset, errors=(400, 403, 404, 409), long=True),
    endpoint("DELETE", "/datasets/{dataset_id}/images/{image_id:path}", delete_image, errors=(403, 404, 423)),
    endpoint(
        "POST",
        "/datasets/{dataset_id}/images/delete",
        delete_images,
        errors=(403, 404, 423),
        idempotent=True,
        long=True,
    ),
    endpoint(
        "POST",
        "/datasets/{dataset_id}/images/restore",
        restore_images,
        errors=(400, 403, 404, 409),
        idempotent=True,
        long=True,
    ),
    endpoint("GET", "/datasets/{dataset_id}/images/deleted", list_deleted_images, errors=(403, 404)),
    endpoint("DELETE", "/projects/{project_id}", delete_project, status=204, errors=(403, 404), long=True),
]
