"""Published versions of a project's annotations and what each was made of."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

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
    Index("ix_annotation_versions_project_task_version", "project_id", "task_type", "version_number", unique=True),
)

# No foreign key to annotations: a version is immutable, whatever becomes of what it was made of.
annotation_snapshots = Table(
    "annotation_snapshots",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("version_id", ForeignKey("annotation_versions.id", ondelete="CASCADE"), nullable=False),
    Column("annotation_id", BigInteger, nullable=False),
    Column("snapshot_data", JSONB, nullable=False),
    Index("ix_annotation_snapshots_version_id_annotation_id", "version_id", "annotation_id"),
)
