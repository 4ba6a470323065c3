"""Versions lose their stored links and learn their file's size; invitations get their rules; locks learn their lease."""

from labeler_api.migrations.steps import Repairs, forward_only, repairs, run

revision = "20261122_1080"
down_revision = "20261122_1070"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with repairs(revision, "annotation_versions", "invitations", "image_locks") as rows:
        run("""
            ALTER TABLE annotation_versions
                ALTER COLUMN task_type TYPE varchar(50),
                DROP COLUMN download_url,
                DROP COLUMN download_url_expires_at,
                ADD COLUMN file_size_bytes bigint,
                ADD COLUMN content_sha256 varchar(64)
        """)
        run("ALTER TABLE image_locks ADD COLUMN lease_seconds integer NOT NULL DEFAULT 300")
        _mend_invitations(rows)
        run("""
            ALTER TABLE invitations
                ADD CONSTRAINT ck_invitations_role CHECK (role IN ('owner', 'admin', 'reviewer', 'annotator', 'viewer')),
                ADD CONSTRAINT ck_invitations_status CHECK (status IN ('pending', 'accepted', 'cancelled', 'expired'))
        """)
        run(
            "CREATE UNIQUE INDEX uq_invitations_pending ON invitations (dataset_id, invitee_id) WHERE status = 'pending'"
        )


def _mend_invitations(rows: Repairs) -> None:
    rows.quarantine(
        "invitations", "role NOT IN ('owner', 'admin', 'reviewer', 'annotator', 'viewer')", "the role is unknown"
    )
    rows.quarantine(
        "invitations", "status NOT IN ('pending', 'accepted', 'cancelled', 'expired')", "the status is unknown"
    )
    rows.change(
        "invitations",
        "of several pending ones of a user to a dataset the newest stays pending, the others are cancelled",
        """
        UPDATE invitations i SET status = 'cancelled', cancelled_at = now()
        WHERE i.status = 'pending' AND EXISTS (
            SELECT FROM invitations n
             WHERE n.dataset_id = i.dataset_id AND n.invitee_id = i.invitee_id AND n.status = 'pending'
               AND (n.created_at, n.id) > (i.created_at, i.id))
        """,
    )
    rows.change(
        "invitations",
        "a pending one to become owner is one to become admin: a project has one owner",
        "UPDATE invitations SET role = 'admin' WHERE status = 'pending' AND role = 'owner'",
    )


downgrade = forward_only
