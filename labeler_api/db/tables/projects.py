"""Projects, who works in them, and the tasks that nobody uses yet."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from labeler_api.db.tables.metadata import metadata, moment, stamped

annotation_projects = Table(
    "annotation_projects",
    metadata,
    Column("id", String(50), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("description", Text),
    Column(
        "dataset_id",
        ForeignKey("datasets.id", ondelete="CASCADE"),
        doc="NULL: it is gone for everybody; a job deletes its rows.",
    ),
    Column("owner_id", Integer, nullable=False),
    Column("task_types", ARRAY(String(50)), nullable=False, server_default=text("'{}'")),
    Column("task_config", JSONB, nullable=False, server_default=text("'{}'")),
    Column("settings", JSONB, nullable=False, server_default=text("'{}'")),
    Column("total_images", Integer, nullable=False, server_default=text("0")),
    Column("annotated_images", Integer, nullable=False, server_default=text("0")),
    Column("total_annotations", Integer, nullable=False, server_default=text("0")),
    Column("status", String(20), nullable=False, server_default="active"),
    stamped("created_at"),
    stamped("updated_at"),
    Column("last_updated_by", Integer),
    Column("task_classes", JSONB, nullable=False, server_default=text("'{}'")),
    Column(
        "revision",
        BigInteger,
        nullable=False,
        server_default=text("0"),
        doc="Bumped with every change of annotations, statuses, classes or versions; ETags are made of it.",
    ),
    CheckConstraint("jsonb_typeof(task_config) = 'object'", name="task_config"),
    CheckConstraint("jsonb_typeof(settings) = 'object'", name="settings"),
    CheckConstraint("jsonb_typeof(task_classes) = 'object'", name="task_classes"),
    Index("ix_annotation_projects_dataset_id", "dataset_id", unique=True),
    Index("ix_annotation_projects_owner_id_created_at", "owner_id", "created_at"),
)

project_changes = Table(
    "project_changes",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("project_id", ForeignKey("annotation_projects.id", ondelete="CASCADE"), nullable=False),
    Column("annotations", Integer, nullable=False, doc="By how many the project's annotations grew."),
    Column("images", Integer, nullable=False, doc="By how many its annotated images grew."),
    Column("changed_by", Integer, nullable=False),
    stamped("changed_at"),
    Index("ix_project_changes_project_id", "project_id"),
)

project_permissions = Table(
    "project_permissions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column(
        "project_id",
        ForeignKey("annotation_projects.id", ondelete="CASCADE", name="fk_project_permissions_project"),
        nullable=False,
    ),
    Column("user_id", Integer, nullable=False),
    Column("role", String(20), nullable=False),
    Column("granted_by", Integer, nullable=False),
    stamped("granted_at"),
    UniqueConstraint("project_id", "user_id", name="uq_project_user"),
    CheckConstraint("role IN ('owner', 'admin', 'reviewer', 'annotator', 'viewer')", name="role"),
    Index("uq_project_owner", "project_id", unique=True, postgresql_where=text("role = 'owner'")),
    Index("ix_project_permissions_user_id", "user_id"),
)

annotation_tasks = Table(
    "annotation_tasks",
    metadata,
    Column("id", String(50), primary_key=True),
    Column("project_id", ForeignKey("annotation_projects.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("description", Text),
    Column("assignee_id", Integer),
    Column("reviewer_id", Integer),
    Column("image_ids", ARRAY(String(255))),
    Column("total_images", Integer),
    Column("completed_images", Integer),
    Column("status", String(20)),
    moment("due_date"),
    moment("completed_at"),
    stamped("created_at"),
    stamped("updated_at"),
    Index("ix_annotation_tasks_assignee_status", "assignee_id", "status"),
    Index("ix_annotation_tasks_project_id", "project_id"),
)
