"""Geometry and attributes are JSON objects, and the flags have values."""

from labeler_api.migrations.steps import Repairs, forward_only, repairs, run

revision = "20261122_1050"
down_revision = "20261122_1045"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with repairs(revision, "annotations") as rows:
        _mend_annotations(rows)
        run("""
            ALTER TABLE annotations
                ALTER COLUMN attributes SET DEFAULT '{}', ALTER COLUMN attributes SET NOT NULL,
                ALTER COLUMN is_verified SET DEFAULT false, ALTER COLUMN is_verified SET NOT NULL,
                ALTER COLUMN version SET DEFAULT 1,
                ADD CONSTRAINT ck_annotations_geometry CHECK (jsonb_typeof(geometry) = 'object'),
                ADD CONSTRAINT ck_annotations_attributes CHECK (jsonb_typeof(attributes) = 'object'),
                ADD CONSTRAINT ck_annotations_annotation_state
                    CHECK (annotation_state IN ('draft', 'confirmed', 'verified'))
        """)


def _mend_annotations(rows: Repairs) -> None:
    rows.quarantine("annotations", "jsonb_typeof(geometry) = 'null'", "the geometry is JSON null")
    rows.quarantine("annotations", "jsonb_typeof(geometry) <> 'object'", "the geometry is no JSON object")
    rows.change(
        "annotations",
        "attributes: NULL and JSON null become {}",
        "UPDATE annotations SET attributes = '{}' WHERE attributes IS NULL OR jsonb_typeof(attributes) = 'null'",
    )
    rows.change(
        "annotations",
        "attributes: what is no object is kept under legacy_value",
        """
        UPDATE annotations SET attributes =
            CASE WHEN attributes = '[]' THEN '{}' ELSE jsonb_build_object('legacy_value', attributes) END
        WHERE jsonb_typeof(attributes) <> 'object'
        """,
    )
    rows.change(
        "annotations",
        "is_verified: NULL becomes false",
        "UPDATE annotations SET is_verified = false WHERE is_verified IS NULL",
    )
    rows.change(
        "annotations",
        "annotation_state: an unknown one becomes draft",
        "UPDATE annotations SET annotation_state = 'draft' WHERE annotation_state NOT IN ('draft', 'confirmed', 'verified')",
    )


downgrade = forward_only
