"""What is deleted is hidden at once, and its rows go later.

Both changes are of the catalogue alone. The API of before deletes rows as ever. It finds a project by its dataset, and a
dataset by its owner, its project or its visibility: what the new one hides has none of them.
"""

from labeler_api.migrations.steps import forward_only, run

revision = "20261130_0400"
down_revision = "20261130_0130"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The project's table first, as everybody locks them.
    run("ALTER TABLE annotation_projects ALTER COLUMN dataset_id DROP NOT NULL")
    run("ALTER TABLE datasets ADD COLUMN deleted_at timestamptz")


downgrade = forward_only
