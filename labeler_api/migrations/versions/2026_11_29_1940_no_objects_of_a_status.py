"""How many of an image's annotations of a task are a `no_object`, kept in its status and not looked for in each list.

The API of before knows nothing of these columns and goes on writing rows. So a row says what its count is true of: the
number of annotations and the time of the last change, both of which every write of either API sets. A count that is
not true of the row is not used, and the next write of the image counts again.

Rows are counted a few at a time, each batch a transaction, and those that somebody is writing are passed by: nobody
waits for this, and nobody's write meets it in a deadlock.
"""

from alembic import op

from labeler_api.migrations.steps import forward_only, run, value

revision = "20261129_1940"
down_revision = "20261129_1930"
branch_labels = None
depends_on = None

_BATCH = 2000  # ids: some 20 ms of work, and of locks on rows that a writer may want

_COUNT = """
    WITH batch AS MATERIALIZED (
        SELECT id, project_id, image_id, task_type FROM image_annotation_status
        WHERE id > {after} AND id <= {after} + {batch}
        FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE image_annotation_status s
    SET no_object_annotations = c.no_objects, counted_total = c.total, counted_modified_at = c.last_modified_at
    FROM batch b CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE a.annotation_type = 'no_object') AS no_objects, count(*) AS total,
               max(a.updated_at) AS last_modified_at
        FROM annotations a
        WHERE a.project_id = b.project_id AND a.image_id = b.image_id AND a.task_type = b.task_type
    ) c
    WHERE s.id = b.id
"""


def upgrade() -> None:
    # What was added by a run that was cut off stays: the batches before the cut are kept.
    run(
        """
        ALTER TABLE image_annotation_status
            ADD COLUMN IF NOT EXISTS no_object_annotations integer,
            ADD COLUMN IF NOT EXISTS counted_total integer,
            ADD COLUMN IF NOT EXISTS counted_modified_at timestamptz
        """
    )
    with op.get_context().autocommit_block():
        last = value("SELECT coalesce(max(id), 0) FROM image_annotation_status")
        for after in range(value("SELECT coalesce(min(id), 0) - 1 FROM image_annotation_status"), last, _BATCH):
            run(_COUNT.format(after=after, batch=_BATCH))


downgrade = forward_only
