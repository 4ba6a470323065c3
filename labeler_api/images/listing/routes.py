"""Images of datasets and projects (calls 10 and 28, contract#images, the summary) and their bytes."""

from labeler_api.context import Call
from labeler_api.errors import BadRequest, NotFound
from labeler_api.http.endpoint import Link, Reply, endpoint, links_to
from labeler_api.images.listing import service
from labeler_api.images.listing.schemas import DatasetSummary, ImagePage, PageQuery, PreviewImage, PreviewQuery


async def preview_images(call: Call, dataset_id: str, query: PreviewQuery) -> list[PreviewImage]:
    """Preview the images of a dataset"""
    return await service.preview(call, dataset_id, query)


async def summarise_dataset(call: Call, dataset_id: str) -> DatasetSummary:
    """Summarise a dataset: counts and thumbnail links"""
    return await service.summary(call, dataset_id)


async def list_images(call: Call, project_id: str, query: PageQuery) -> Reply[ImagePage]:
    """List the images of a project

    Ordered by the time of their upload. `X-Next-Cursor` names the `cursor` of the next page.
    """
    return await service.page(call, project_id, query)


_AFTER_LIST_IMAGES = [
    *links_to(
        {"project_id": "$response.body#/project_id", "image_id": "$response.body#/images/0/id"},
        "locks_acquire",
        "locks_status",
        "annotations_confirm_image",
        "annotations_unconfirm_image",
    ),
    Link(
        "annotations_create",
        body={"project_id": "$response.body#/project_id", "image_id": "$response.body#/images/0/id"},
    ),
]

routes = [
    endpoint("GET", "/datasets/{dataset_id}/images", preview_images, errors=(NotFound,)),
    endpoint("GET", "/datasets/{dataset_id}/summary", summarise_dataset, errors=(NotFound,)),
    endpoint(
        "GET",
        "/projects/{project_id}/images",
        list_images,
        links=_AFTER_LIST_IMAGES,
        etag=True,
        errors=(BadRequest, NotFound),
    ),
]
