"""The indexes that the calls use; the counters of datasets and projects are what is there."""

from labeler_api.migrations.steps import Repairs, forward_only, repairs, run

revision = "20261122_1090"
down_revision = "20261122_1080"
branch_labels = None
depends_on = None

INDEXES = (
    "ix_datasets_owner_id_created_at ON datasets (owner_id, created_at)",
    "ix_annotation_projects_owner_id_created_at ON annotation_projects (owner_id, created_at)",
    "ix_project_permissions_user_id ON project_permissions (user_id)",
    "ix_image_metadata_dataset_id_uploaded_at_id ON image_metadata (dataset_id, uploaded_at, id)",
    "ix_image_metadata_dataset_id_folder_path ON image_metadata (dataset_id, folder_path)",
    "ix_annotations_project_image_task ON annotations (project_id, image_id, task_type)",
    "ix_annotations_project_task_class ON annotations (project_id, task_type, class_id, image_id)",
    "ix_annotations_project_id_id ON annotations (project_id, id)",
    "ix_annotation_history_annotation_id_id ON annotation_history (annotation_id, id)",
    "ix_annotation_history_project_timestamp ON annotation_history (project_id, timestamp DESC, id DESC)",
    "ix_image_locks_user_id ON image_locks (user_id)",
    "ix_annotation_snapshots_version_id_annotation_id ON annotation_snapshots (version_id, annotation_id)",
    "ix_invitations_dataset_id ON invitations (dataset_id)",
    "ix_invitations_inviter_id ON invitations (inviter_id)",
    "ix_invitations_invitee_id ON invitations (invitee_id)",
    "ix_annotation_tasks_assignee_status ON annotation_tasks (assignee_id, status)",
    "ix_annotation_tasks_project_id ON annotation_tasks (project_id)",
    "ix_comments_annotation_id ON comments (annotation_id)",
    "ix_comments_project_image ON comments (project_id, image_id)",
)


def upgrade() -> None:
    with repairs(revision, "datasets", "annotation_projects", "image_metadata", "annotations") as rows:
        for index in INDEXES:
            run(f"CREATE INDEX IF NOT EXISTS {index}")
        _count(rows)


def _count(rows: Repairs) -> None:
    rows.change(
        "datasets",
        "num_images: counted anew",
        """
        UPDATE datasets d SET num_images = c.images
        FROM (SELECT d.id, count(i.id) AS images FROM datasets d LEFT JOIN image_metadata i ON i.dataset_id = d.id GROUP BY d.id) c
        WHERE c.id = d.id AND d.num_images <> c.images
        """,
    )
    rows.change(
        "annotation_projects",
        "total_images, annotated_images, total_annotations: counted anew",
        """
        UPDATE annotation_projects p
        SET total_images = d.num_images, annotated_images = c.images, total_annotations = c.annotations
        FROM (SELECT p.id, count(DISTINCT a.image_id) AS images, count(a.id) AS annotations
                FROM annotation_projects p LEFT JOIN annotations a ON a.project_id = p.id GROUP BY p.id) c, datasets d
        WHERE c.id = p.id AND d.id = p.dataset_id
          AND (p.total_images, p.annotated_images, p.total_annotations) <> (d.num_images, c.images, c.annotations)
        """,
    )


downgrade = forward_only
