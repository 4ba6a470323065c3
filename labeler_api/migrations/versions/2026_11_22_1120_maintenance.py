"""The switch of maintenance mode: one row, which every process of the API obeys."""

from labeler_api.migrations.steps import forward_only, run

revision = "20261122_1120"
down_revision = "20261122_1110"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(
        """
        CREATE TABLE maintenance (
            only_row boolean NOT NULL DEFAULT true,
            mode varchar(10) NOT NULL DEFAULT 'off',
            reason text,
            changed_by varchar(200),
            since timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT maintenance_pkey PRIMARY KEY (only_row),
            CONSTRAINT ck_maintenance_only_row CHECK (only_row),
            CONSTRAINT ck_maintenance_mode CHECK (mode IN ('off', 'on'))
        )
        """
    )


downgrade = forward_only
