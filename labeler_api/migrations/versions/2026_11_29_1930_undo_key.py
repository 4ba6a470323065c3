"""What an undo finds a deletion by.

Only deletions from now on have a key: an undo reaches back a quarter of an hour. The API of before leaves the column
alone, and its deletions are not undone. The index is partial, so it is empty here and built at once.
"""

from labeler_api.migrations.steps import forward_only, run

revision = "20261129_1930"
down_revision = "20261129_1630"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run("ALTER TABLE annotation_history ADD COLUMN undo_key bigint")
    run(
        """
        CREATE INDEX ix_annotation_history_undo_key ON annotation_history (undo_key, id) WHERE undo_key IS NOT NULL
        """
    )


downgrade = forward_only
