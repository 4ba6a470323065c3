"""An image is known by its dataset and its id; what hangs on an image hangs on one that exists."""

from labeler_api.migrations.steps import Repairs, forward_only, repairs, run

revision = "20261122_1030"
down_revision = "20261122_1020"
branch_labels = None
depends_on = None

OF_AN_IMAGE = ("annotations", "image_annotation_status", "image_locks")

# The image of the project's own dataset, by an expression for its id.
_IMAGE = """SELECT FROM image_metadata i JOIN annotation_projects p ON p.dataset_id = i.dataset_id
             WHERE p.id = x.project_id AND i.id = {id}"""
_WITHOUT_EXTENSION = r"regexp_replace(x.image_id, '\.[^./]+$', '')"

# Two locks cannot be had on one image: the one under the right id stays, else the oldest; others are quarantined.
_ONE_LOCK_PER_IMAGE = rf"""AND NOT EXISTS (
    SELECT FROM image_locks l WHERE l.project_id = x.project_id AND l.id <> x.id AND (
        l.image_id = {_WITHOUT_EXTENSION}
        OR (l.id < x.id AND regexp_replace(l.image_id, '\.[^./]+$', '') = {_WITHOUT_EXTENSION})))"""


def upgrade() -> None:
    with repairs(revision, "image_metadata", *OF_AN_IMAGE) as rows:
        _key()
        _add_columns(rows)
        for table in OF_AN_IMAGE:
            _mend_image_ids(rows, table)


def _key() -> None:
    run("ALTER TABLE image_metadata ALTER COLUMN id TYPE varchar(255)")
    run("ALTER TABLE image_metadata DROP CONSTRAINT image_metadata_pkey")
    run("ALTER TABLE image_metadata ADD CONSTRAINT image_metadata_pkey PRIMARY KEY (dataset_id, id)")


def _add_columns(rows: Repairs) -> None:
    run("""
        ALTER TABLE image_metadata
            ADD COLUMN content_sha256 varchar(64),
            ADD COLUMN content_type varchar(50),
            ADD COLUMN thumbnail_key varchar(1000)
    """)
    run("ALTER TABLE datasets ADD COLUMN images_revision bigint NOT NULL DEFAULT 0")
    rows.change(
        "image_metadata",
        "thumbnail_key: the image's key with /images/ as /thumbnails/ and .jpg for its extension, as uploads wrote it",
        r"""
        UPDATE image_metadata i SET thumbnail_key = legacy.key
        FROM (SELECT dataset_id, id,
                     regexp_replace(replace(s3_key, '/images/', '/thumbnails/'), '\.[^./]*$', '') || '.jpg' AS key
                FROM image_metadata) AS legacy
        WHERE legacy.dataset_id = i.dataset_id AND legacy.id = i.id AND length(legacy.key) <= 1000
        """,
    )


def _mend_image_ids(rows: Repairs, table: str) -> None:
    spare = _ONE_LOCK_PER_IMAGE if table == "image_locks" else ""
    if table == "image_annotation_status":  # rows that become equal here are merged where statuses are counted anew
        run("DROP INDEX ix_image_annotation_status_project_image_task")
    rows.change(
        table,
        "image_id: an extension that the image's id does not have is cut off",
        f"""
        UPDATE {table} x SET image_id = {_WITHOUT_EXTENSION}
        WHERE NOT EXISTS ({_IMAGE.format(id="x.image_id")})
          AND EXISTS ({_IMAGE.format(id=_WITHOUT_EXTENSION)}) {spare}
        """,
    )
    rows.quarantine(
        table,
        f"NOT EXISTS ({_IMAGE.format(id='x.image_id')})",
        "the image does not exist in the project's dataset",
    )


downgrade = forward_only
