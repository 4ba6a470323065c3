"""Published versions of a project's annotations and what each was made of."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text
from sqlalchemy.dialects.postgresql import INT8MULTIRANGE, JSONB

from labeler_api.db.tables.metadata import metadata, stamped

annotation_versions = Table(
    "annotation_versions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", ForeignKey("annotation_projects.id", ondelete="CASCADE"), nullable=False),
    Column("task_type", String(50), nullable=False),
    Column("version_number", String(20), nullable=False),
    Column("version_type", String(20), nullable=False),
    stamped("created_at"),
    Column("created_by", Integer),
    Column("description", Text),
    Column("annotation_count", Integer),
    Column("image_count", Integer),
    Column("export_format", String(20)),
    Column("export_path", Text, doc="Key in the annotations bucket; links are made at run time."),
    Column("file_size_bytes", BigInteger),
    Column("content_sha256", String(64), doc="Hex digest of the exported file."),
    Column("includes_drafts", Boolean, doc="NULL: published before this was noted."),
    Column(
        "snapshot_ids",
        INT8MULTIRANGE,
        doc="Ids of its rows in annotation_snapshots; NULL: those whose version_id it is, as before rows were shared.",
    ),
    Index("ix_annotation_versions_project_task_version", "project_id", "task_type", "version_number", unique=True),
)

# No foreign key to annotations: a version is immutable, whatever becomes of what it was made of.
# A row is shared by all versions in which the annotation was the same; `version_id` is the first of them. Only
# published ones share, and those go with their project alone, so no row goes before its last version.
annotation_snapshots = Table(
    "annotation_snapshots",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("version_id", ForeignKey("annotation_versions.id", ondelete="CASCADE"), nullable=False),
    Column("annotation_id", BigInteger, nullable=False),
    Column("snapshot_data", JSONB, nullable=False),
    Index("ix_annotation_snapshots_version_id_annotation_id", "version_id", "annotation_id"),
)
