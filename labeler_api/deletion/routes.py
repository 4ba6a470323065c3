"""Deletion of datasets and projects (calls 12, 13 and 27, contract#deleting), and of images."""

from labeler_api.context import Call
from labeler_api.deletion.datasets import service as datasets_service
from labeler_api.deletion.datasets.schemas import DeleteDataset, DeletedDataset, DeletionImpact
from labeler_api.deletion.images import service as images_service
from labeler_api.deletion.images.schemas import (
    DeletedImagePage,
    DeletedImages,
    DeletedQuery,
    DeleteImages,
    RestoredImages,
    RestoreImages,
)
from labeler_api.http.endpoint import Reply, endpoint
from labeler_api.locks.image_locks.schemas import ImageId


async def deletion_impact(call: Call, dataset_id: str) -> DeletionImpact:
    """Say what deleting a dataset takes away"""
    return await datasets_service.impact(call, dataset_id)


async def delete_dataset(call: Call, dataset_id: str, body: DeleteDataset) -> DeletedDataset:
    """Delete a dataset with its project

    One transaction decides; the objects in the store are removed after it. With `create_backup` everything but the
    images themselves is written to the store first, and read back. `s3_deletions` counts the objects as they were
    listed right before the decision.
    """
    return await datasets_service.delete_dataset(call, dataset_id, body)


async def delete_project(call: Call, project_id: str) -> None:
    """Delete a project

    Its annotations, versions and members go with it, the dataset stays. Opening the dataset makes a new project.
    """
    await datasets_service.delete_project(call, project_id)


async def delete_image(call: Call, dataset_id: str, image_id: ImageId) -> DeletedImages:
    """Delete an image

    What is drawn on it goes with it; published versions keep theirs. For 30 days `POST /datasets/{id}/images/restore`
    brings all of it back.
    """
    return await images_service.delete(call, dataset_id, image_id)


async def delete_images(call: Call, dataset_id: str, body: DeleteImages) -> DeletedImages:
    """Delete images

    All of them or none: 423 while somebody else holds one of them. Ids that are no images of the dataset are listed as
    `missing`; when all are, it is 404.
    """
    return await images_service.delete_many(call, dataset_id, body)


async def restore_images(call: Call, dataset_id: str, body: RestoreImages) -> RestoredImages:
    """Bring deleted images back

    Within 30 days, with their annotations, statuses and history. All of them or none: 409 when another image has the id
    or the path of one of them by now.
    """
    return await images_service.restore(call, dataset_id, body)


async def list_deleted_images(call: Call, dataset_id: str, query: DeletedQuery) -> Reply[DeletedImagePage]:
    """List the deleted images of a dataset

    The latest deletion first. `X-Next-Cursor` names the `cursor` of the next page.
    """
    page, cursor = await images_service.page(call, dataset_id, query)
    return Reply(page, headers={"X-Next-Cursor": cursor} if cursor else {})


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
