"""The functions that read pages of annotations by one index, whatever the planner knows of the table."""

from labeler_api.db.functions import source
from labeler_api.migrations.steps import forward_only, run

revision = "20261130_0130"
down_revision = "20261130_0210"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(source("project_page_1"))
    run(source("image_page_1"))


downgrade = forward_only
