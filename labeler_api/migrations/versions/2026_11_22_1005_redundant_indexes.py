"""Indexes that no call needs are dropped; first, since each of them makes every repair of a row dearer."""

from labeler_api.migrations.steps import forward_only, run

revision = "20261122_1005"
down_revision = "20261122_1000"
branch_labels = None
depends_on = None

# Prefixes or copies of others, or on columns with a handful of values: each costs a write per row and serves no call.
REDUNDANT = {
    "datasets": ("owner_id",),
    "annotation_projects": ("owner_id", "created_at", "last_updated_by"),
    "project_permissions": ("project_id", "project_user"),
    "image_metadata": ("dataset", "dataset_id", "folder", "uploaded"),
    "annotations": (
        "annotation_state", "annotation_type", "created_at", "created_by", "image_id", "project_id", "project_image",
        "project_task", "project_type", "task_type", "version",
    ),
    "annotation_history": ("annotation_id", "annotation_timestamp", "project_id", "timestamp"),
    "image_annotation_status": ("project_id", "image_id", "status", "task_type", "project_status"),
    "image_locks": ("project_id", "expires_at", "image_id"),
    "annotation_versions": ("project_id", "project_type", "task_type"),
    "annotation_snapshots": ("version", "version_id", "annotation", "annotation_id"),
    "invitations": ("project_id", "status", "invitee_email", "inviter_id", "invitee_id", "id"),
    "annotation_tasks": ("assignee_id", "status"),
    "comments": ("created_at", "image_id", "project_id"),
}  # fmt: skip


def upgrade() -> None:
    for table, ends in REDUNDANT.items():
        for end in ends:  # the two that models declare and migrations forgot may be there or not
            run(f"DROP INDEX IF EXISTS ix_{table}_{end}")


downgrade = forward_only
