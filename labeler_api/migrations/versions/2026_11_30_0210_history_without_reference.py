"""History is deleted with its project by a trigger, and no longer refers to it.

The reference was looked up for each row of history, of an import's million, too; the annotation that the row is about
refers to the project anyway. To the API of before nothing changes: it deletes a project, and the history goes with it.
"""

from labeler_api.db.functions import source
from labeler_api.migrations.steps import forward_only, run

revision = "20261130_0210"
down_revision = "20261130_0120"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(source("delete_history_1"))
    # The project's table first, as everybody locks them.
    run("LOCK TABLE annotation_projects IN ACCESS EXCLUSIVE MODE")
    run(
        "CREATE TRIGGER delete_history AFTER DELETE ON annotation_projects"
        " FOR EACH ROW EXECUTE FUNCTION delete_history_1()"
    )
    run("ALTER TABLE annotation_history DROP CONSTRAINT fk_annotation_history_project_id_annotation_projects")


downgrade = forward_only
