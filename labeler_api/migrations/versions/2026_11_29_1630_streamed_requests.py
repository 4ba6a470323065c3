"""What an Idempotency-Key knows of a request whose files are streamed: their names and sizes, and who is at it.

The API of before leaves the new columns alone; their defaults are those of a request without files.
"""

from labeler_api.migrations.steps import forward_only, run

revision = "20261129_1630"
down_revision = "20261129_1600"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(
        """
        ALTER TABLE idempotency_keys
            ADD COLUMN files bytea NOT NULL DEFAULT '',
            ADD COLUMN files_complete boolean NOT NULL DEFAULT false,
            ADD COLUMN open_requests integer NOT NULL DEFAULT 0
        """
    )


downgrade = forward_only
