"""${message}."""

from labeler_api.migrations.steps import forward_only, run

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    run("")


downgrade = forward_only
