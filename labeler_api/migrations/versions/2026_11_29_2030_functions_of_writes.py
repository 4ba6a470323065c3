"""The functions by which a save is one call: labeler_api/db/functions. The API of before does not know them."""

from labeler_api.db.functions import source
from labeler_api.migrations.steps import forward_only, run

revision = "20261129_2030"
down_revision = "20261129_2020"
branch_labels = None
depends_on = None

_FUNCTIONS = (
    *(
        "undo_key_1",
        "log_revision_1",
        "count_in_project_1",
        "refresh_progress_1",
        "hold_project_1",
        "import_at_work_1",
        "claim_image_1",
        "acquire_image_1",
    ),
    *("create_annotation_1", "update_annotation_1", "delete_annotation_1", "set_annotation_state_1"),
)


def upgrade() -> None:
    for name in _FUNCTIONS:
        run(source(name))


downgrade = forward_only
