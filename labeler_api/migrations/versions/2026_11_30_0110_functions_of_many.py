"""The functions by which a batch, and confirming many annotations, are one call. The API of before knows none of them."""

from labeler_api.db.functions import source
from labeler_api.migrations.steps import forward_only, run

revision = "20261130_0110"
down_revision = "20261130_0300"
branch_labels = None
depends_on = None

_FUNCTIONS = ("claim_images_1", "create_annotations_1", "confirm_annotations_1")


def upgrade() -> None:
    for name in _FUNCTIONS:
        run(source(name))


downgrade = forward_only
