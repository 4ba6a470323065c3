"""Images that were deleted and can be brought back, with what was drawn on them."""

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, ForeignKey, Index, Integer, String, Table
from sqlalchemy.dialects.postgresql import JSONB

from labeler_api.db.tables.metadata import metadata, stamped

# A deleted image is no row of `image_metadata` any more, so no statement has to know of deletions to leave it out.
deleted_images = Table(
    "deleted_images",
    metadata,
    Column("id", BigInteger, primary_key=True, doc="Of the deletion: one image id may be deleted more than once."),
    Column("dataset_id", ForeignKey("datasets.id", ondelete="CASCADE"), nullable=False),
    Column("image_id", String(255), nullable=False),
    Column("deleted_by", Integer, nullable=False),
    stamped("deleted_at"),
    Column("restorable_until", DateTime(timezone=True), nullable=False),
    Column(
        "purge_after",
        DateTime(timezone=True),
        nullable=False,
        doc="When to look whether it may go for good; put off while a version has annotations of it.",
    ),
    Column("annotation_count", Integer, nullable=False),
    # The keys of its objects are repeated here, for statements that ask whether an object is still needed.
    Column("s3_key", String(1000), nullable=False),
    Column("thumbnail_key", String(1000)),
    Column("rendition_key", String(1000)),
    Column("image", JSONB, nullable=False, doc="The whole row of image_metadata."),
    Index("ix_deleted_images_dataset_id_id", "dataset_id", "id"),
    Index("ix_deleted_images_dataset_id_image_id", "dataset_id", "image_id"),
    Index("ix_deleted_images_purge_after", "purge_after"),
)

deleted_image_rows = Table(
    "deleted_image_rows",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("deleted_image_id", ForeignKey("deleted_images.id", ondelete="CASCADE"), nullable=False),
    Column("project_id", ForeignKey("annotation_projects.id", ondelete="CASCADE"), nullable=False),
    Column("table_name", String(63), nullable=False),
    Column("row", JSONB, nullable=False, doc="The whole row, as it was."),
    CheckConstraint("table_name IN ('annotations', 'image_annotation_status')", name="table_name"),
    Index("ix_deleted_image_rows_deleted_image_id", "deleted_image_id"),
    Index("ix_deleted_image_rows_project_id", "project_id"),
)
