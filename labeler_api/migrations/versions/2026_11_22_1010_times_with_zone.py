"""Times become `timestamptz`: what the application wrote is UTC, what the server filled in is in the server's zone.

Times that every row has by the API's doing become NOT NULL; a missing one is taken from the row's other times.
"""

from labeler_api.migrations.steps import Repairs, forward_only, legacy_timezone, repairs, run, value

revision = "20261122_1010"
down_revision = "20261122_1005"
branch_labels = None
depends_on = None

# Columns with a default in the database: now() there is the server's local time.
FROM_SERVER = {
    "datasets": ("created_at", "updated_at"),
    "dataset_permissions": ("granted_at",),
    "project_permissions": ("granted_at",),
    "image_locks": ("locked_at", "heartbeat_at"),
    "annotation_versions": ("created_at",),
    "invitations": ("created_at",),
}
# Columns that only the application wrote, in UTC.
FROM_APPLICATION = {
    "datasets": ("snapshot_created_at", "last_modified_at"),
    "annotation_projects": ("created_at", "updated_at"),
    "image_metadata": ("uploaded_at", "last_modified"),
    "annotations": ("created_at", "updated_at", "confirmed_at"),
    "annotation_history": ("timestamp",),
    "image_annotation_status": ("first_modified_at", "last_modified_at", "confirmed_at"),
    "image_locks": ("expires_at",),
    "annotation_versions": ("download_url_expires_at",),
    "invitations": ("expires_at", "accepted_at", "cancelled_at"),
    "annotation_tasks": ("due_date", "completed_at", "created_at", "updated_at"),
    "comments": ("created_at", "updated_at"),
}
# Columns that get NOT NULL and the database's clock as default.
STAMPED = {
    "datasets": ("created_at", "updated_at"),
    "dataset_permissions": ("granted_at",),
    "annotation_projects": ("created_at", "updated_at"),
    "project_permissions": ("granted_at",),
    "image_metadata": ("uploaded_at", "last_modified"),
    "annotations": ("created_at", "updated_at"),
    "annotation_history": ("timestamp",),
    "image_locks": ("locked_at", "heartbeat_at"),
    "annotation_versions": ("created_at",),
    "invitations": ("created_at",),
    "annotation_tasks": ("created_at", "updated_at"),
    "comments": ("created_at", "updated_at"),
}
# Where a stamp may be missing: what stands in for it.
STAND_INS = {
    ("annotation_projects", "created_at"): "coalesce(updated_at, now())",
    ("annotation_projects", "updated_at"): "created_at",
    ("annotations", "created_at"): "coalesce(updated_at, confirmed_at, now())",
    ("annotations", "updated_at"): "created_at",
    # Ids rise with time: the entry before is the nearest moment known.
    ("annotation_history", "timestamp"): """coalesce(
        (SELECT h.timestamp FROM annotation_history h
          WHERE h.id < annotation_history.id AND h.timestamp IS NOT NULL ORDER BY h.id DESC LIMIT 1), now())""",
    ("annotation_tasks", "created_at"): "coalesce(updated_at, now())",
    ("annotation_tasks", "updated_at"): "created_at",
    ("comments", "created_at"): "coalesce(updated_at, now())",
    ("comments", "updated_at"): "created_at",
}


def upgrade() -> None:
    zone = legacy_timezone()
    tables = sorted({*FROM_SERVER, *FROM_APPLICATION})
    with repairs(revision, *tables) as rows:
        for table in tables:
            _convert(rows, table, dict.fromkeys(FROM_SERVER.get(table, ()), zone))
            _convert(rows, table, dict.fromkeys(FROM_APPLICATION.get(table, ()), "UTC"))
        for (table, column), stand_in in STAND_INS.items():
            rows.change(
                table,
                f"{column}: a missing time is taken from the row's other times, else from the moment of the upgrade",
                f"UPDATE {table} SET {column} = {stand_in} WHERE {column} IS NULL",
            )
        for table, columns in STAMPED.items():
            _stamp(table, columns)


def _convert(rows: Repairs, table: str, zones: dict[str, str]) -> None:
    for column, zone in zones.items():
        rows.note(table, "converted", f"{column}: read as {zone}", value(f"SELECT count({column}) FROM {table}"))
        # Without USING: from UTC to UTC (the session's zone) the rows need not be written again.
        using = "" if zone == "UTC" else f" USING {column} AT TIME ZONE '{zone}'"
        run(f"ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT")
        run(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE timestamptz{using}")


def _stamp(table: str, columns: tuple[str, ...]) -> None:
    for column in columns:
        run(f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT now(), ALTER COLUMN {column} SET NOT NULL")


downgrade = forward_only
