"""The tie between this database and its buckets, and what a sweep of the buckets has found."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, DateTime, String, Table, Text, Uuid, func, text

from labeler_api.db.tables.metadata import metadata, stamped

labeler_identity = Table(
    "labeler_identity",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("id", Uuid, nullable=False, server_default=func.gen_random_uuid(), doc="What the buckets' tie names."),
    stamped("made_at"),
    CheckConstraint("only_row", name="only_row"),
)

orphaned_objects = Table(
    "orphaned_objects",
    metadata,
    Column("bucket", String(63), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("version", Text, primary_key=True, doc="The ETag; of an upload in parts, its id."),
    Column("last_modified", DateTime(timezone=True), primary_key=True, doc="As the store lists it."),
    Column("unfinished", Boolean, nullable=False, server_default=text("false"), doc="An upload in parts."),
    Column("size", BigInteger, nullable=False),
    Column("reason", String(100), nullable=False),
    stamped("found_at"),
    Column(
        "seen_at",
        DateTime(timezone=True),
        nullable=False,
        server_default=func.now(),
        doc="When a sweep found it last; one that does not find it again takes it off the list.",
    ),
)
