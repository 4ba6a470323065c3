"""What a creating call with an `Idempotency-Key` answered; written in the transaction of what it made."""

from sqlalchemy import Column, Index, Integer, String, Table
from sqlalchemy.dialects.postgresql import JSONB

from labeler_api.db.tables.metadata import metadata, stamped

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("user_id", Integer, primary_key=True, autoincrement=False),
    Column("key", String(255), primary_key=True, doc="As the client sent it."),
    Column("operation", String(100), nullable=False, doc="Method and path template: a key belongs to one operation."),
    Column(
        "request_sha256",
        String(64),
        nullable=False,
        doc="Of the path and the body: the same key with another request is refused.",
    ),
    Column("answer", JSONB, doc="The answer, without what is looked up anew (names, links)."),
    stamped("created_at"),
    Index("ix_idempotency_keys_created_at", "created_at"),
)
