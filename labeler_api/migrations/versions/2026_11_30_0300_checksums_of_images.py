"""What a ZIP says of an image's bytes before they come.

The API of before leaves the column alone. Where it replaces such an image, the old checksum stays: it names the version
of the bytes that it is of (labeler_api.images.checksums.store), and is not used.
"""

from labeler_api.migrations.steps import forward_only, run

revision = "20261130_0300"
down_revision = "20261130_0100"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run("ALTER TABLE image_metadata ADD COLUMN content_checksum varchar(60)")


downgrade = forward_only
