"""Datasets (calls 5 to 9 and 11, contract#datasets)."""

from labeler_api.context import Call
from labeler_api.datasets import service
from labeler_api.datasets.schemas import CreateDataset, DatasetResponse, DatasetsQuery, SizeResponse, UpdateDataset
from labeler_api.http.endpoint import Reply, endpoint
from labeler_api.projects.schemas import ProjectResponse


async def create_dataset(call: Call, body: CreateDataset) -> DatasetResponse:
    """Create a dataset and its project"""
    return await service.create(call, body)


async def list_datasets(call: Call, query: DatasetsQuery) -> Reply[list[DatasetResponse]]:
    """List the datasets that the caller may see

    The newest first. The header X-Next-Cursor is there when more follow; give it back as `cursor`.
    """
    datasets, cursor = await service.page(call, query)
    return Reply(datasets, headers={"X-Next-Cursor": cursor} if cursor else {})


async def get_dataset(call: Call, dataset_id: str) -> DatasetResponse:
    """Return a dataset"""
    return await service.get(call, dataset_id)


async def update_dataset(call: Call, dataset_id: str, body: UpdateDataset) -> DatasetResponse:
    """Change a dataset

    Its project keeps its own name.
    """
    return await service.update(call, dataset_id, body)


async def get_project_of_dataset(call: Call, dataset_id: str) -> ProjectResponse:
    """Return the project of a dataset with live counters

    A dataset without a project gets one, owned by the dataset's owner.
    """
    return await service.project(call, dataset_id)


async def get_size(call: Call, dataset_id: str) -> SizeResponse:
    """Say how many images a dataset has and how large they are"""
    return await service.size(call, dataset_id)


routes = [
    endpoint("POST", "/datasets", create_dataset, status=201, idempotent=True),
    endpoint("GET", "/datasets", list_datasets, large=True),
    endpoint("GET", "/datasets/{dataset_id}", get_dataset, errors=(404,)),
    endpoint("PUT", "/datasets/{dataset_id}", update_dataset, errors=(403, 404)),
    endpoint("GET", "/datasets/{dataset_id}/project", get_project_of_dataset, errors=(404,), large=True),
    endpoint("GET", "/datasets/{dataset_id}/size", get_size, errors=(404,)),
]
