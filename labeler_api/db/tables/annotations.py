"""Annotations, what happened to them, and the comments that nobody writes yet."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    desc,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from labeler_api.db.tables.metadata import metadata, moment, stamped

annotations = Table(
    "annotations",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("project_id", ForeignKey("annotation_projects.id", ondelete="CASCADE"), nullable=False),
    Column("image_id", String(255), nullable=False),
    Column("annotation_type", String(20), nullable=False),
    Column("geometry", JSONB, nullable=False, doc="Pixels of the displayed image."),
    Column("class_id", String(50)),
    Column("class_name", String(255)),
    Column("attributes", JSONB, nullable=False, server_default=text("'{}'")),
    Column("confidence", Integer, doc="Percent."),
    Column("created_by", Integer, nullable=False),
    Column("updated_by", Integer),
    Column("is_verified", Boolean, nullable=False, server_default=text("false")),
    Column("notes", Text),
    stamped("created_at"),
    stamped("updated_at"),
    Column("annotation_state", String(20), nullable=False, server_default="draft"),
    moment("confirmed_at"),
    Column("confirmed_by", Integer),
    Column("task_type", String(50), nullable=False),
    Column("version", Integer, nullable=False, server_default=text("1")),
    CheckConstraint("jsonb_typeof(geometry) = 'object'", name="geometry"),
    CheckConstraint("jsonb_typeof(attributes) = 'object'", name="attributes"),
    CheckConstraint("annotation_state IN ('draft', 'confirmed', 'verified')", name="annotation_state"),
    Index("ix_annotations_project_image_task", "project_id", "image_id", "task_type"),
    Index("ix_annotations_project_task_class", "project_id", "task_type", "class_id", "image_id"),
    Index("ix_annotations_project_id_id", "project_id", "id"),
)

# No foreign key to annotations: history outlives them. None to the project either: a trigger deletes the history
# with it (`db.functions.TRIGGERS`). A reference is looked up for each row of an import, whose annotations have one.
annotation_history = Table(
    "annotation_history",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("annotation_id", BigInteger, nullable=False),
    Column("project_id", String(50), nullable=False),
    Column("action", String(20), nullable=False),
    Column("previous_state", JSONB(none_as_null=True)),
    Column("new_state", JSONB(none_as_null=True)),
    Column("changed_by", Integer, nullable=False),
    stamped("timestamp"),
    Column("revision", Integer, doc="The annotation's version that this write made; NULL on legacy rows."),
    Column("image_id", String(255)),
    Column("undo_key", BigInteger, doc="Of a deletion: what an equal new annotation finds it by; NULL elsewhere."),
    Index("ix_annotation_history_undo_key", "undo_key", "id", postgresql_where=text("undo_key IS NOT NULL")),
    Index("ix_annotation_history_annotation_id_id", "annotation_id", "id"),
    Index("ix_annotation_history_project_timestamp", "project_id", desc("timestamp"), desc("id")),
)

comments = Table(
    "comments",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("project_id", ForeignKey("annotation_projects.id", ondelete="CASCADE"), nullable=False),
    Column("image_id", String(255), nullable=False),
    Column("annotation_id", BigInteger),
    Column("text", Text, nullable=False),
    Column("parent_id", BigInteger),
    Column("thread_id", BigInteger),
    Column("resolved", Boolean),
    Column("author_id", Integer, nullable=False),
    stamped("created_at"),
    stamped("updated_at"),
    Index("ix_comments_annotation_id", "annotation_id"),
    Index("ix_comments_project_image", "project_id", "image_id"),
)
