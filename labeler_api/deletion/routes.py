"""Deletion of datasets and projects (contract 12, 13, 27)."""

from labeler_api.context import Call
from labeler_api.deletion import service
from labeler_api.deletion.schemas import DeleteDataset, DeletedDataset, DeletionImpact
from labeler_api.http.endpoint import endpoint


async def deletion_impact(call: Call, dataset_id: str) -> DeletionImpact:
    """Say what deleting a dataset takes away"""
    return await service.impact(call, dataset_id)


async def delete_dataset(call: Call, dataset_id: str, body: DeleteDataset) -> DeletedDataset:
    """Delete a dataset with its project

    One transaction decides; the objects in the store are removed after it. With `create_backup` everything but the
    images themselves is written to the store first, and read back. `s3_deletions` counts the objects as they were
    listed right before the decision.
    """
    return await service.delete_dataset(call, dataset_id, body)


async def delete_project(call: Call, project_id: str) -> None:
    """Delete a project

    Its annotations, versions and members go with it, the dataset stays. Opening the dataset makes a new project.
    """
    await service.delete_project(call, project_id)


routes = [
    endpoint("GET", "/datasets/{dataset_id}/deletion-impact", deletion_impact, errors=(403, 404)),
    endpoint("DELETE", "/datasets/{dataset_id}", delete_dataset, errors=(400, 403, 404, 409), long=True),
    endpoint("DELETE", "/projects/{project_id}", delete_project, status=204, errors=(403, 404), long=True),
]
