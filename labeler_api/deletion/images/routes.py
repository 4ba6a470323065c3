"""Delete images, list what was deleted, and bring it back."""

from labeler_api.context import Call
from labeler_api.deletion.images import service as images_service
from labeler_api.deletion.images.schemas import (
    DeletedImagePage,
    DeletedImages,
    DeletedQuery,
    DeleteImages,
    RestoredImages,
    RestoreImages,
)
from labeler_api.http.endpoint import Reply
from labeler_api.locks.image_locks.schemas import ImageId


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
