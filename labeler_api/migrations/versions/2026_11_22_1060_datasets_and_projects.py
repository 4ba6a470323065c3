"""Visibility is private or public; a project's settings, counters, state and classes always have their form."""

import json

from alembic import op
from sqlalchemy import text

from labeler_api.migrations.classes import as_objects
from labeler_api.migrations.steps import Repairs, forward_only, repairs, run

revision = "20261122_1060"
down_revision = "20261122_1050"
branch_labels = None
depends_on = None

COUNTERS = ("total_images", "annotated_images", "total_annotations")


def upgrade() -> None:
    with repairs(revision, "datasets", "annotation_projects") as rows:
        rows.change(
            "datasets",
            "visibility: an unknown one becomes private",
            "UPDATE datasets SET visibility = 'private' WHERE visibility NOT IN ('private', 'public')",
        )
        _mend_projects(rows)
        _mend_classes(rows)
        run(
            """ALTER TABLE datasets ADD CONSTRAINT ck_datasets_visibility CHECK (visibility IN ('private', 'public'))"""
        )
        _settle_projects()


def _mend_projects(rows: Repairs) -> None:
    for column in ("settings", "task_config"):
        rows.change(
            "annotation_projects",
            f"{column}: NULL and JSON null become {{}}",
            f"UPDATE annotation_projects SET {column} = '{{}}' WHERE {column} IS NULL OR jsonb_typeof({column}) = 'null'",
        )
        rows.change(
            "annotation_projects",
            f"{column}: what is no object is kept under legacy_value",
            f"""
            UPDATE annotation_projects SET {column} = jsonb_build_object('legacy_value', {column})
            WHERE jsonb_typeof({column}) <> 'object'
            """,
        )
    rows.change(
        "annotation_projects",
        "status: NULL becomes active",
        "UPDATE annotation_projects SET status = 'active' WHERE status IS NULL",
    )
    for column in COUNTERS:
        run(f"UPDATE annotation_projects SET {column} = 0 WHERE {column} IS NULL")  # counted anew in a later revision


def _mend_classes(rows: Repairs) -> None:
    bind = op.get_bind()
    projects = bind.exec_driver_sql("SELECT id, task_types, task_classes::text FROM annotation_projects").all()
    mended = 0
    for project_id, task_types, stored in projects:
        before = json.loads(stored)
        after = as_objects(before, list(task_types))
        if after != before:
            bind.execute(
                text("UPDATE annotation_projects SET task_classes = CAST(:classes AS jsonb) WHERE id = :id"),
                {"classes": json.dumps(after), "id": project_id},
            )
            mended += 1
    rows.note(
        "annotation_projects",
        "changed",
        "task_classes: lists become objects by class id, missing fields are filled in",
        mended,
    )


def _settle_projects() -> None:
    counters = "".join(f", ALTER COLUMN {c} SET DEFAULT 0, ALTER COLUMN {c} SET NOT NULL" for c in COUNTERS)
    run(f"""
        ALTER TABLE annotation_projects
            ALTER COLUMN task_types SET DEFAULT '{{}}',
            ALTER COLUMN task_config SET DEFAULT '{{}}',
            ALTER COLUMN settings SET DEFAULT '{{}}', ALTER COLUMN settings SET NOT NULL,
            ALTER COLUMN status SET DEFAULT 'active', ALTER COLUMN status SET NOT NULL
            {counters},
            ADD COLUMN revision bigint NOT NULL DEFAULT 0,
            ADD CONSTRAINT ck_annotation_projects_task_config CHECK (jsonb_typeof(task_config) = 'object'),
            ADD CONSTRAINT ck_annotation_projects_settings CHECK (jsonb_typeof(settings) = 'object'),
            ADD CONSTRAINT ck_annotation_projects_task_classes CHECK (jsonb_typeof(task_classes) = 'object')
    """)


downgrade = forward_only
