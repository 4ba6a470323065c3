"""What a creating call with an `Idempotency-Key` answered; written in the transaction of what it made."""

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, String, Table, text
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
        doc="Of the path and the body (of a streamed one its fields): with another request the key is refused.",
    ),
    Column("answer", JSONB, doc="The answer, without what is looked up anew (names, links)."),
    stamped("created_at"),
    Column(
        "files",
        LargeBinary,
        nullable=False,
        server_default="",
        doc="Of a streamed request: 16 bytes of the digest of each file's name and size, in their order.",
    ),
    Column(
        "files_complete",
        Boolean,
        nullable=False,
        server_default=text("false"),
        doc="Whether a request came to its end: what has more or fewer files is another one.",
    ),
    Column(
        "open_requests",
        Integer,
        nullable=False,
        server_default=text("0"),
        doc="Streamed requests under way; too many where a process died.",
    ),
    Index("ix_idempotency_keys_created_at", "created_at"),
)
