"""Everything belongs to something that exists: rows of projects, datasets and versions that are gone go to quarantine.

Ids of datasets get one width. An invitation names the dataset it is about in a column of that name.
"""

from labeler_api.migrations.steps import Repairs, forward_only, repairs, run

revision = "20261122_1020"
down_revision = "20261122_1010"
branch_labels = None
depends_on = None

OF_A_PROJECT = (
    "project_permissions",
    "annotations",
    "annotation_history",
    "image_annotation_status",
    "image_locks",
    "annotation_versions",
    "annotation_tasks",
    "comments",
)


def upgrade() -> None:
    with repairs(
        revision, "datasets", "annotation_projects", "annotation_snapshots", "invitations", *OF_A_PROJECT
    ) as rows:
        _widen()
        _quarantine_orphans(rows)
        rows.change(
            "invitations",
            "an invitation that names a project is about that project's dataset",
            """
            UPDATE invitations i SET dataset_id = p.dataset_id FROM annotation_projects p
            WHERE p.id = i.dataset_id AND NOT EXISTS (SELECT FROM datasets d WHERE d.id = i.dataset_id)
            """,
        )
        rows.quarantine(
            "invitations",
            "NOT EXISTS (SELECT FROM datasets d WHERE d.id = x.dataset_id)",
            "the dataset does not exist",
        )
        _reference()


def _widen() -> None:
    run("ALTER TABLE annotation_projects ALTER COLUMN dataset_id TYPE varchar(100)")
    run("ALTER TABLE invitations RENAME COLUMN project_id TO dataset_id")
    run("ALTER TABLE invitations ALTER COLUMN dataset_id TYPE varchar(100)")


def _quarantine_orphans(rows: Repairs) -> None:
    known = "SELECT FROM annotation_projects p WHERE p.id = x.project_id"
    for table in OF_A_PROJECT:
        rows.quarantine(table, f"NOT EXISTS ({known})", "the project does not exist")
    for table in OF_A_PROJECT:
        rows.quarantine(
            table,
            f"NOT EXISTS ({known} AND EXISTS (SELECT FROM datasets d WHERE d.id = p.dataset_id))",
            "the dataset of the project does not exist",
        )
    rows.quarantine(
        "annotation_projects",
        "NOT EXISTS (SELECT FROM datasets d WHERE d.id = x.dataset_id)",
        "the dataset does not exist",
    )
    rows.quarantine(
        "annotation_snapshots",
        "NOT EXISTS (SELECT FROM annotation_versions v WHERE v.id = x.version_id)",
        "the version does not exist",
    )


def _reference() -> None:
    for table in ("annotation_projects", "invitations"):
        run(
            f"ALTER TABLE {table} ADD CONSTRAINT fk_{table}_dataset_id_datasets "
            "FOREIGN KEY (dataset_id) REFERENCES datasets (id) ON DELETE CASCADE"
        )
    for table in OF_A_PROJECT:
        if table != "project_permissions":  # it has its key already
            run(
                f"ALTER TABLE {table} ADD CONSTRAINT fk_{table}_project_id_annotation_projects "
                "FOREIGN KEY (project_id) REFERENCES annotation_projects (id) ON DELETE CASCADE"
            )
    run(
        "ALTER TABLE annotation_snapshots ADD CONSTRAINT fk_annotation_snapshots_version_id_annotation_versions "
        "FOREIGN KEY (version_id) REFERENCES annotation_versions (id) ON DELETE CASCADE"
    )


downgrade = forward_only
