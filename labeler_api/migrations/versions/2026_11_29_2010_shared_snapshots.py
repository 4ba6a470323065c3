"""What a version needs to share the rows of unchanged annotations with the version before it.

No row changes: a version without `snapshot_ids` has the rows whose `version_id` it is. So the API of before goes on
publishing, whole copies as ever, while the new one runs, and later versions share the rows of its versions, too. It
reads the rows of a version in two places: while it publishes that version itself, and in the backup before a
deletion, which takes all rows of the project with all their columns.
"""

from labeler_api.migrations.steps import forward_only, run

revision = "20261129_2010"
down_revision = "20261129_2000"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run("ALTER TABLE annotation_versions ADD COLUMN includes_drafts boolean, ADD COLUMN snapshot_ids int8multirange")


downgrade = forward_only
