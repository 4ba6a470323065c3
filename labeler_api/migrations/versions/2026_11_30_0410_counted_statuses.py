"""The numbers of images of a task, confirmed and begun, are kept and no longer counted for each look at a project.

Triggers keep them, so what the API of before writes is counted, too. Writers of statuses wait while they are counted
for the first time: a second for two million.
"""

from labeler_api.db.functions import source
from labeler_api.migrations.steps import forward_only, run

revision = "20261130_0410"
down_revision = "20261130_0400"
branch_labels = None
depends_on = None

_FUNCTIONS = ("count_status_1", "count_new_statuses_1", "count_gone_statuses_1", "count_confirmed_status_1")


def upgrade() -> None:
    for name in _FUNCTIONS:
        run(source(name))
    # The project's table first, as everybody locks them.
    run("LOCK TABLE annotation_projects, image_annotation_status IN SHARE ROW EXCLUSIVE MODE")
    run(
        """
        CREATE TABLE image_status_counts (
            id bigserial NOT NULL,
            project_id varchar(50) NOT NULL,
            task_type varchar(50) NOT NULL,
            confirmed integer NOT NULL,
            in_progress integer NOT NULL,
            CONSTRAINT image_status_counts_pkey PRIMARY KEY (id),
            CONSTRAINT fk_image_status_counts_project_id_annotation_projects FOREIGN KEY (project_id)
                REFERENCES annotation_projects (id) ON DELETE CASCADE
        )
        """
    )
    run("CREATE INDEX ix_image_status_counts_project_id_task_type ON image_status_counts (project_id, task_type)")
    run(
        """
        CREATE TRIGGER count_new AFTER INSERT ON image_annotation_status REFERENCING NEW TABLE AS new_statuses
        FOR EACH STATEMENT EXECUTE FUNCTION count_new_statuses_1()
        """
    )
    run(
        """
        CREATE TRIGGER count_gone AFTER DELETE ON image_annotation_status REFERENCING OLD TABLE AS gone_statuses
        FOR EACH STATEMENT EXECUTE FUNCTION count_gone_statuses_1()
        """
    )
    run(
        """
        CREATE TRIGGER count_confirmed AFTER UPDATE ON image_annotation_status FOR EACH ROW
        WHEN (OLD.is_image_confirmed IS DISTINCT FROM NEW.is_image_confirmed)
        EXECUTE FUNCTION count_confirmed_status_1()
        """
    )
    run(
        """
        INSERT INTO image_status_counts (project_id, task_type, confirmed, in_progress)
        SELECT project_id, task_type, count(*) FILTER (WHERE is_image_confirmed),
               count(*) FILTER (WHERE NOT is_image_confirmed)
        FROM image_annotation_status GROUP BY project_id, task_type ORDER BY project_id, task_type
        """
    )


downgrade = forward_only
