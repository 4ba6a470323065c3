"""An id for the database, which its buckets name, and the list of objects that a sweep has found to be orphaned."""

from labeler_api.migrations.steps import forward_only, run

revision = "20261129_1600"
down_revision = "20261122_1120"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(
        """
        CREATE TABLE labeler_identity (
            only_row boolean NOT NULL DEFAULT true,
            id uuid NOT NULL DEFAULT gen_random_uuid(),
            made_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT labeler_identity_pkey PRIMARY KEY (only_row),
            CONSTRAINT ck_labeler_identity_only_row CHECK (only_row)
        )
        """
    )
    run("INSERT INTO labeler_identity DEFAULT VALUES")
    run(
        """
        CREATE TABLE orphaned_objects (
            bucket varchar(63) NOT NULL,
            key text NOT NULL,
            version text NOT NULL,
            last_modified timestamptz NOT NULL,
            unfinished boolean NOT NULL DEFAULT false,
            size bigint NOT NULL,
            reason varchar(100) NOT NULL,
            found_at timestamptz NOT NULL DEFAULT now(),
            seen_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT orphaned_objects_pkey PRIMARY KEY (bucket, key, version, last_modified)
        )
        """
    )


downgrade = forward_only
