"""What an undo finds a deletion by.

Only deletions from now on have a key: an undo reaches back a quarter of an hour. The API of before leaves the column
alone, and its deletions are not undone. The index is partial and empty here, yet to build it is to read the history
through, which is the largest table: nobody may wait for that.
"""

from labeler_api.migrations.steps import forward_only, index_beside_others, run

revision = "20261129_1930"
down_revision = "20261129_1630"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(
        "ALTER TABLE annotation_history ADD COLUMN IF NOT EXISTS undo_key bigint"
    )  # a run that was cut off has added it
    index_beside_others(
        "ix_annotation_history_undo_key", "annotation_history (undo_key, id) WHERE undo_key IS NOT NULL"
    )


downgrade = forward_only
