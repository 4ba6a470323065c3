"""The functions by which changes of classes, of an image's state, and of an annotation's past are one call.

The API of before does not know them.
"""

from labeler_api.db.functions import source
from labeler_api.migrations.steps import forward_only, run

revision = "20261130_0100"
down_revision = "20261130_0200"
branch_labels = None
depends_on = None

_FUNCTIONS = (
    *("lock_project_1", "classes_of_1", "write_classes_1", "add_class_1", "change_classes_1", "delete_class_1"),
    *("set_state_of_image_1", "restore_annotation_1"),
)


def upgrade() -> None:
    for name in _FUNCTIONS:
        run(source(name))


downgrade = forward_only
