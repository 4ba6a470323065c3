"""What writers of annotations count while somebody else holds the project's row, so that none of them waits for it.

The API of before adds to the project's row alone, which stays right. It does not see a change that waits here until the
next writer adds it to the row.
"""

from labeler_api.migrations.steps import forward_only, run

revision = "20261129_1950"
down_revision = "20261129_1940"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(
        """
        CREATE TABLE project_changes (
            id bigserial NOT NULL,
            project_id varchar(50) NOT NULL,
            annotations integer NOT NULL,
            images integer NOT NULL,
            changed_by integer NOT NULL,
            changed_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT project_changes_pkey PRIMARY KEY (id),
            CONSTRAINT fk_project_changes_project_id_annotation_projects FOREIGN KEY (project_id)
                REFERENCES annotation_projects (id) ON DELETE CASCADE
        )
        """
    )
    run("CREATE INDEX ix_project_changes_project_id ON project_changes (project_id)")


downgrade = forward_only
