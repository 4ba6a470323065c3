"""The state of the work on an image: its status per task, who holds it, and which import is at work on it."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
    text,
)

from labeler_api.db.tables.metadata import metadata, moment, stamped

image_annotation_status = Table(
    "image_annotation_status",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", ForeignKey("annotation_projects.id", ondelete="CASCADE"), nullable=False),
    Column("image_id", String(255), nullable=False),
    Column("status", String(20), nullable=False, server_default="not-started"),
    moment("first_modified_at"),
    moment("last_modified_at"),
    moment("confirmed_at"),
    Column("total_annotations", Integer, nullable=False, server_default=text("0")),
    Column("confirmed_annotations", Integer, nullable=False, server_default=text("0")),
    Column("draft_annotations", Integer, nullable=False, server_default=text("0")),
    Column("is_image_confirmed", Boolean, nullable=False, server_default=text("false")),
    Column("task_type", String(50), nullable=False),
    Column(
        "no_object_annotations",
        Integer,
        doc="How many of the annotations are a `no_object`; true while the next two columns say what the row says.",
    ),
    Column("counted_total", Integer, doc="`total_annotations` when they were counted; an older API left it as it was."),
    Column("counted_modified_at", DateTime(timezone=True), doc="`last_modified_at` when they were counted."),
    UniqueConstraint("project_id", "image_id", "task_type", name="uq_image_annotation_status"),
    CheckConstraint("status IN ('not-started', 'in-progress', 'completed')", name="status"),
)

# The numbers of a project's task are the sums of its rows; without contention there is one row. Triggers of the
# statuses keep them at every write of a status (`db.functions.TRIGGERS`).
image_status_counts = Table(
    "image_status_counts",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("project_id", ForeignKey("annotation_projects.id", ondelete="CASCADE"), nullable=False),
    Column("task_type", String(50), nullable=False),
    Column("confirmed", Integer, nullable=False, doc="Images that are confirmed."),
    Column("in_progress", Integer, nullable=False, doc="Images that were begun and are not confirmed."),
    Index("ix_image_status_counts_project_id_task_type", "project_id", "task_type"),
)

image_locks = Table(
    "image_locks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", ForeignKey("annotation_projects.id", ondelete="CASCADE"), nullable=False),
    Column("image_id", String(255), nullable=False),
    Column("user_id", Integer, nullable=False),
    stamped("locked_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    stamped("heartbeat_at"),
    Column(
        "lease_seconds",
        Integer,
        nullable=False,
        server_default=text("300"),
        doc="How long the lock lives from its last use: 300 taken on opening an image, 60 taken by a write.",
    ),
    UniqueConstraint("project_id", "image_id", name="uq_project_image_lock"),
    Index("ix_image_locks_user_id", "user_id"),
)

# No foreign key: a mark means something as long as its import's transaction is under way, and nothing afterwards.
importing_images = Table(
    "importing_images",
    metadata,
    Column("project_id", String(50), primary_key=True),
    Column("image_id", String(255), primary_key=True),
    Column(
        "import_id",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        doc="The number of the transaction that writes the import; a mark ends with it, however it ends.",
    ),
    Column("user_id", Integer, nullable=False),
    stamped("started_at"),
)
