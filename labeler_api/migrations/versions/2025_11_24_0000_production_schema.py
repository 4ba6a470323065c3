"""The schema as it is in production today, names included.

The statements carry no schema name, so that the adoption of a production database can build the same tables in a schema of their
own and compare the two catalogs.
"""

from labeler_api.migrations.production_tables import TABLES
from labeler_api.migrations.steps import forward_only, run

revision = "20251124_0000"
down_revision = None
branch_labels = None
depends_on = None

# Table, then the end of each index's name (after `ix_<table>_`) and its columns where they differ from that end.
_INDEXES: dict[str, dict[str, str]] = {
    "datasets": {"owner_id": "", "owner_id_created_at": "owner_id, created_at"},
    "dataset_permissions": {"dataset_id": "", "dataset_user": "dataset_id, user_id", "user_id": ""},
    "annotation_projects": {
        "owner_id": "", "owner_id_created_at": "owner_id, created_at", "created_at": "", "last_updated_by": "",
    },
    "project_permissions": {"project_id": "", "project_user": "project_id, user_id", "user_id": ""},
    "image_metadata": {
        "dataset": "dataset_id", "dataset_id": "", "folder": "dataset_id, folder_path", "uploaded": "dataset_id, uploaded_at",
    },
    "annotations": {
        "annotation_state": "", "annotation_type": "", "created_at": "", "created_by": "", "image_id": "", "project_id": "",
        "project_image": "project_id, image_id", "project_image_task": "project_id, image_id, task_type",
        "project_task": "project_id, task_type", "project_type": "project_id, annotation_type", "task_type": "", "version": "",
    },
    "annotation_history": {
        "annotation_id": "", "annotation_timestamp": "annotation_id, timestamp", "project_id": "", "timestamp": "",
    },
    "image_annotation_status": {
        "project_id": "", "image_id": "", "status": "", "task_type": "", "project_status": "project_id, status",
    },
    "image_locks": {"project_id": "", "user_id": "", "expires_at": ""},
    "annotation_versions": {"project_id": "", "project_type": "project_id, version_type", "task_type": ""},
    "annotation_snapshots": {"version": "version_id", "version_id": "", "annotation": "annotation_id", "annotation_id": ""},
    "invitations": {"project_id": "", "inviter_id": "", "invitee_id": "", "status": "", "invitee_email": ""},
    "annotation_tasks": {"assignee_id": "", "assignee_status": "assignee_id, status", "project_id": "", "status": ""},
    "comments": {
        "annotation_id": "", "created_at": "", "image_id": "", "project_id": "", "project_image": "project_id, image_id",
    },
}  # fmt: skip

INDEXES = (
    "CREATE UNIQUE INDEX ix_annotation_projects_dataset_id ON annotation_projects (dataset_id)",
    "CREATE UNIQUE INDEX ix_invitations_token ON invitations (token)",
    "CREATE UNIQUE INDEX ix_annotation_versions_project_task_version"
    " ON annotation_versions (project_id, task_type, version_number)",
    "CREATE UNIQUE INDEX ix_image_annotation_status_project_image_task"
    " ON image_annotation_status (project_id, image_id, task_type)",
    *(
        f"CREATE INDEX ix_{table}_{end} ON {table} ({columns or end})"
        for table, indexes in _INDEXES.items()
        for end, columns in indexes.items()
    ),
)


def upgrade() -> None:
    for statement in (*TABLES, *INDEXES):
        run(statement)


downgrade = forward_only
