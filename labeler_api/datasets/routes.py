"""Datasets (calls 5 to 9 and 11, contract#datasets)."""

from labeler_api.context import Call
from labeler_api.datasets import service
from labeler_api.datasets.schemas import CreateDataset, DatasetResponse, DatasetsQuery, SizeResponse, UpdateDataset
from labeler_api.errors import Forbidden, NotFound
from labeler_api.http.endpoint import Link, Reply, endpoint, links_to
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


_AFTER_CREATE_DATASET = [
    *links_to(
        {"dataset_id": "$response.body#/id"},
        "datasets_get_dataset",
        "datasets_get_project_of_dataset",
        "datasets_update_dataset",
        "datasets_get_size",
        "images_summarise_dataset",
        "images_preview_images",
    ),
    *links_to({"project_id": "$response.body#/id"}, "images_list_images"),
    *links_to(
        {"dataset_id": "$response.body#/id"},
        "imports_upload_images",
        "storage_get_structure",
        "storage_preview_upload",
        "members_list_dataset_permissions",
        "members_invite_to_dataset",
        "deletion_deletion_impact",
    ),
    Link("invitations_create_invitation", body={"project_id": "$response.body#/id"}),
    Link("versions_export", body={"project_id": "$response.body#/id"}),
    Link("projects_create_project", body={"dataset_id": "$response.body#/id"}),
]

_AFTER_GET_PROJECT_OF_DATASET = [
    *links_to(
        {"project_id": "$response.body#/id"},
        "projects_get_project",
        "projects_update_project",
        "projects_add_task_type",
        "classes_add_class",
        "images_list_images",
        "annotations_list_statuses",
        "annotations_stats",
        "annotations_list_annotations",
        "annotations_history_of_project",
        "locks_list_locks",
        "members_list_members",
        "members_add_member",
        "members_transfer_ownership",
        "versions_list_versions",
        "versions_publish",
        "versions_export_of_project",
        "deletion_delete_project",
    ),
]

routes = [
    endpoint("POST", "/datasets", create_dataset, links=_AFTER_CREATE_DATASET, status=201, idempotent=True),
    endpoint("GET", "/datasets", list_datasets, large=True),
    endpoint("GET", "/datasets/{dataset_id}", get_dataset, errors=(NotFound,)),
    endpoint("PUT", "/datasets/{dataset_id}", update_dataset, errors=(Forbidden, NotFound)),
    endpoint(
        "GET",
        "/datasets/{dataset_id}/project",
        get_project_of_dataset,
        links=_AFTER_GET_PROJECT_OF_DATASET,
        errors=(NotFound,),
        large=True,
    ),
    endpoint("GET", "/datasets/{dataset_id}/size", get_size, errors=(NotFound,)),
]
