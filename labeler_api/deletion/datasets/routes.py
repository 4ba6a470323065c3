"""Delete a dataset or a project, and say before what goes."""

from labeler_api.context import Call
from labeler_api.deletion.datasets import service as datasets_service
from labeler_api.deletion.datasets.schemas import DeleteDataset, DeletedDataset, DeletionImpact


async def deletion_impact(call: Call, dataset_id: str) -> DeletionImpact:
    """Say what deleting a dataset takes away"""
    return await datasets_service.impact(call, dataset_id)


async def delete_dataset(call: Call, dataset_id: str, body: DeleteDataset) -> DeletedDataset:
    """Delete a dataset with its project

    One transaction decides; rows and objects are removed after it. With `create_backup` everything but the
    images themselves is written to the store first, and read back. `s3_deletions` counts the objects as they were
    listed right before the decision; of a dataset with more than 500 images it is what the database knows.
    """
    return await datasets_service.delete_dataset(call, dataset_id, body)


async def delete_project(call: Call, project_id: str) -> None:
    """Delete a project

    Its annotations, versions and members go with it, the dataset stays. Opening the dataset makes a new project.
    """
    await datasets_service.delete_project(call, project_id)
