"""The functions by which changes of members and of invitations are one call. The API of before knows none of them."""

from labeler_api.db.functions import source
from labeler_api.migrations.steps import forward_only, run

revision = "20261130_0120"
down_revision = "20261130_0110"
branch_labels = None
depends_on = None

_FUNCTIONS = (
    *("cancel_invitations_1", "set_member_role_1", "transfer_project_1"),
    *("create_invitation_1", "accept_invitation_1"),
)


def upgrade() -> None:
    for name in _FUNCTIONS:
        run(source(name))


downgrade = forward_only
