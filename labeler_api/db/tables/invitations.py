"""Invitations of users to a dataset's project."""

from sqlalchemy import CheckConstraint, Column, DateTime, ForeignKey, Index, Integer, String, Table, Text, text

from labeler_api.db.tables.metadata import metadata, moment, stamped

invitations = Table(
    "invitations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("token", String(255), nullable=False),
    Column("dataset_id", ForeignKey("datasets.id", ondelete="CASCADE"), nullable=False),
    Column("inviter_id", Integer, nullable=False),
    Column("invitee_id", Integer, nullable=False),
    Column("invitee_email", String(255), nullable=False),
    Column("role", String(20), nullable=False),
    Column("status", String(20), nullable=False),
    Column("message", Text),
    stamped("created_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    moment("accepted_at"),
    moment("cancelled_at"),
    CheckConstraint("role IN ('owner', 'admin', 'reviewer', 'annotator', 'viewer')", name="role"),
    CheckConstraint("status IN ('pending', 'accepted', 'cancelled', 'expired')", name="status"),
    Index("ix_invitations_token", "token", unique=True),
    Index(
        "uq_invitations_pending", "dataset_id", "invitee_id", unique=True, postgresql_where=text("status = 'pending'")
    ),
    Index("ix_invitations_dataset_id", "dataset_id"),
    Index("ix_invitations_inviter_id", "inviter_id"),
    Index("ix_invitations_invitee_id", "invitee_id"),
)
