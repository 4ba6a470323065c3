"""Saves in half the time: functions with fewer statements, which count by what a write did instead of anew.

The API of before goes on calling those of before. Both keep the same rows, under the same locks.
"""

from labeler_api.db.functions import source
from labeler_api.migrations.steps import forward_only, run

revision = "20261130_0200"
down_revision = "20261129_2050"
branch_labels = None
depends_on = None

_FUNCTIONS = (
    *("hold_project_2", "claim_image_2", "log_revision_2", "count_in_project_2", "follow_write_2", "undone_deletion_2"),
    *("acquire_image_2", "create_annotation_2", "update_annotation_2", "delete_annotation_2", "set_annotation_state_2"),
)


def upgrade() -> None:
    for name in _FUNCTIONS:
        run(source(name))


downgrade = forward_only
