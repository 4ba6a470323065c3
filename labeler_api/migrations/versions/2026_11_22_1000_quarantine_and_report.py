"""A quarantine for each table, and the record of what the migrations do to the rows."""

from labeler_api.migrations.steps import forward_only, run

revision = "20261122_1000"
down_revision = "20251124_0000"
branch_labels = None
depends_on = None

TABLES = (
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


def upgrade() -> None:
    for table in TABLES:
        run(f"""
            CREATE TABLE quarantine_{table} (
                id bigserial PRIMARY KEY,
                reason text NOT NULL,
                quarantined_at timestamptz NOT NULL DEFAULT now(),
                row jsonb NOT NULL
            )
        """)
    run("""
        CREATE TABLE migration_report (
            id bigserial PRIMARY KEY,
            revision varchar(32) NOT NULL,
            table_name varchar(63) NOT NULL,
            action varchar(20) NOT NULL,
            rule text NOT NULL,
            row_count bigint NOT NULL,
            recorded_at timestamptz NOT NULL DEFAULT now()
        )
    """)
    run("CREATE INDEX ix_migration_report_revision ON migration_report (revision)")


downgrade = forward_only
