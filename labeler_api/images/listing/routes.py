"""Images of datasets and projects (calls 10 and 28, contract#images, the summary) and their bytes."""

from labeler_api.context import Call
from labeler_api.http.endpoint import Reply, endpoint
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


routes = [
    endpoint("GET", "/datasets/{dataset_id}/images", preview_images, errors=(404,)),
    endpoint("GET", "/datasets/{dataset_id}/summary", summarise_dataset, errors=(404,)),
    endpoint("GET", "/projects/{project_id}/images", list_images, etag=True, errors=(400, 404)),
]
