"""Idempotency keys: what a creating call answered, so that a retry answers the same and makes nothing twice."""

from labeler_api.migrations.steps import forward_only, run

revision = "20261122_1100"
down_revision = "20261122_1090"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(
        """
        CREATE TABLE idempotency_keys (
            user_id integer NOT NULL,
            key varchar(255) NOT NULL,
            operation varchar(100) NOT NULL,
            request_sha256 varchar(64) NOT NULL,
            answer jsonb,
            created_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT idempotency_keys_pkey PRIMARY KEY (user_id, key)
        )
        """
    )
    run("CREATE INDEX ix_idempotency_keys_created_at ON idempotency_keys (created_at)")


downgrade = forward_only
