"""What the OpenAPI document says beyond the routes: tags, links from an answer to the next call, examples."""

from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from labeler_api.http.openapi.document import Link, Reference

TAGS = {
    "auth": "Logging in, and who the caller is",
    "users": "Finding people, by e-mail address or name",
    "platform": "Organizations and workspaces of the platform, read-only",
    "datasets": "Datasets: sets of images, each with one project",
    "deletion": "What deleting takes away, and deleting",
    "images": "Images: lists, summaries, and the bytes behind signed links",
    "imports": "Uploads of images and annotations, imports of annotation files",
    "storage": "The folders of a dataset, and what an upload would replace",
    "projects": "Projects: tasks, settings, counters",
    "classes": "Classes of a project's tasks",
    "members": "Who may do what: members, roles, ownership",
    "invitations": "Invitations to a project",
    "locks": "Who works on which image",
    "annotations": "Annotations, their confirmation, progress and history",
    "versions": "Exports and published versions",
    "health": "Whether the service and its parts are up",
}

_DATASET = {"dataset_id": "$response.body#/id"}
_PROJECT = {"project_id": "$response.body#/id"}
_PROJECT_OF_BODY = {"project_id": "$response.body#/project_id"}
_DATASET_OF_BODY = {"dataset_id": "$response.body#/dataset_id"}
_ANNOTATION = {"annotation_id": "$response.body#/id"}
_CLASS = {
    "project_id": "$request.path.project_id",
    "class_id": "$response.body#/class_id",
    "task_type": "$request.query.task_type",
}
_MEMBER = {"project_id": "$request.path.project_id", "user_id": "$response.body#/user_id"}
_DATASET_MEMBER = {"dataset_id": "$request.path.dataset_id", "user_id": "$response.body#/user_id"}
_IMAGE = {"project_id": "$request.path.project_id", "image_id": "$request.path.image_id"}
_FIRST_IMAGE = {"project_id": "$response.body#/project_id", "image_id": "$response.body#/images/0/id"}

_WITH_ID = {
    ("datasets_create_dataset", "datasets_get_dataset"): _DATASET,
    ("datasets_create_dataset", "datasets_get_project_of_dataset"): _DATASET,
    ("datasets_create_dataset", "datasets_update_dataset"): _DATASET,
    ("datasets_create_dataset", "datasets_get_size"): _DATASET,
    ("datasets_create_dataset", "images_summarise_dataset"): _DATASET,
    ("datasets_create_dataset", "images_preview_images"): _DATASET,
    ("datasets_create_dataset", "images_list_images"): _PROJECT,
    ("datasets_create_dataset", "imports_upload_images"): _DATASET,
    ("datasets_create_dataset", "storage_get_structure"): _DATASET,
    ("datasets_create_dataset", "storage_preview_upload"): _DATASET,
    ("datasets_create_dataset", "members_list_dataset_permissions"): _DATASET,
    ("datasets_create_dataset", "members_invite_to_dataset"): _DATASET,
    ("datasets_create_dataset", "deletion_deletion_impact"): _DATASET,
    ("datasets_get_project_of_dataset", "projects_get_project"): _PROJECT,
    ("datasets_get_project_of_dataset", "projects_update_project"): _PROJECT,
    ("datasets_get_project_of_dataset", "projects_add_task_type"): _PROJECT,
    ("datasets_get_project_of_dataset", "classes_add_class"): _PROJECT,
    ("datasets_get_project_of_dataset", "images_list_images"): _PROJECT,
    ("datasets_get_project_of_dataset", "annotations_list_statuses"): _PROJECT,
    ("datasets_get_project_of_dataset", "annotations_stats"): _PROJECT,
    ("datasets_get_project_of_dataset", "annotations_list_annotations"): _PROJECT,
    ("datasets_get_project_of_dataset", "annotations_history_of_project"): _PROJECT,
    ("datasets_get_project_of_dataset", "locks_list_locks"): _PROJECT,
    ("datasets_get_project_of_dataset", "members_list_members"): _PROJECT,
    ("datasets_get_project_of_dataset", "members_add_member"): _PROJECT,
    ("datasets_get_project_of_dataset", "members_transfer_ownership"): _PROJECT,
    ("datasets_get_project_of_dataset", "versions_list_versions"): _PROJECT,
    ("datasets_get_project_of_dataset", "versions_publish"): _PROJECT,
    ("datasets_get_project_of_dataset", "versions_export_of_project"): _PROJECT,
    ("datasets_get_project_of_dataset", "deletion_delete_project"): _PROJECT,
    ("projects_create_project", "projects_get_project"): _PROJECT,
    ("imports_upload_dataset", "datasets_get_dataset"): _DATASET_OF_BODY,
    ("imports_upload_dataset", "images_list_images"): _PROJECT_OF_BODY,
    ("imports_upload_dataset", "imports_import_annotations"): _PROJECT_OF_BODY,
    ("images_list_images", "locks_acquire"): _FIRST_IMAGE,
    ("images_list_images", "locks_status"): _FIRST_IMAGE,
    ("images_list_images", "annotations_confirm_image"): _FIRST_IMAGE,
    ("images_list_images", "annotations_unconfirm_image"): _FIRST_IMAGE,
    ("locks_acquire", "locks_heartbeat"): _IMAGE,
    ("locks_acquire", "locks_status"): _IMAGE,
    ("locks_acquire", "locks_release"): _IMAGE,
    ("locks_acquire", "locks_force"): _IMAGE,
    ("annotations_create", "annotations_get"): _ANNOTATION,
    ("annotations_create", "annotations_update"): _ANNOTATION,
    ("annotations_create", "annotations_confirm"): _ANNOTATION,
    ("annotations_create", "annotations_unconfirm"): _ANNOTATION,
    ("annotations_create", "annotations_history"): _ANNOTATION,
    ("annotations_create", "annotations_restore"): _ANNOTATION,
    ("annotations_create", "annotations_delete"): _ANNOTATION,
    ("classes_add_class", "classes_update_class"): _CLASS,
    ("classes_add_class", "classes_delete_class"): _CLASS,
    ("members_add_member", "members_change_member"): _MEMBER,
    ("members_add_member", "members_remove_member"): _MEMBER,
    ("members_invite_to_dataset", "members_change_dataset_permission"): _DATASET_MEMBER,
    ("members_invite_to_dataset", "members_remove_dataset_permission"): _DATASET_MEMBER,
    ("invitations_create_invitation", "invitations_cancel_invitation"): {"invitation_id": "$response.body#/id"},
    ("versions_publish", "versions_download"): {"version_id": "$response.body#/id"},
}
_WITH_BODY = [
    Link("datasets_create_dataset", "invitations_create_invitation", body=_PROJECT),
    Link("datasets_create_dataset", "versions_export", body=_PROJECT),
    Link("datasets_create_dataset", "projects_create_project", body=_DATASET),
    Link("images_list_images", "annotations_create", body=_FIRST_IMAGE),
    Link(
        "invitations_list_invitations",
        "invitations_accept_invitation",
        body={"token": "$response.body#/invitations/0/token"},
    ),
]
LINKS = [*(Link(source, target, parameters) for (source, target), parameters in _WITH_ID.items()), *_WITH_BODY]


@cache
def reference() -> Reference:
    """Read the examples, which were recorded from a running service, and put all together."""
    recorded = Path(__file__).parents[2] / "examples.json"
    examples: dict[str, Any] = msgspec.json.decode(recorded.read_bytes()) if recorded.exists() else {}
    return Reference(TAGS, LINKS, examples)
