"""Where rows go that break a rule and cannot be mended, and the record of what each migration did to the rows."""

from sqlalchemy import BigInteger, Column, Index, String, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from labeler_api.db.tables.metadata import metadata, stamped

# Every table of the schema as it was in production, `dataset_permissions` (dropped since) included.
QUARANTINED = (
    "datasets",
    "dataset_permissions",
    "annotation_projects",
    "project_permissions",
    "image_metadata",
    "annotations",
    "annotation_history",
    "image_annotation_status",
    "image_locks",
    "annotation_versions",
    "annotation_snapshots",
    "invitations",
    "annotation_tasks",
    "comments",
)


def _quarantine(table: str) -> Table:
    return Table(
        f"quarantine_{table}",
        metadata,
        Column("id", BigInteger, primary_key=True),
        Column("reason", Text, nullable=False),
        stamped("quarantined_at"),
        Column("row", JSONB, nullable=False, doc="The whole row, as it was when it was moved."),
    )


quarantine_tables = {name: _quarantine(name) for name in QUARANTINED}

migration_report = Table(
    "migration_report",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("revision", String(32), nullable=False),
    Column("table_name", String(63), nullable=False),
    Column(
        "action",
        String(20),
        nullable=False,
        doc="before, after, quarantined, merged, added, changed, converted, finished.",
    ),
    Column("rule", Text, nullable=False),
    Column("row_count", BigInteger, nullable=False),
    stamped("recorded_at"),
    Index("ix_migration_report_revision", "revision"),
)
