"""What browsers are shown of an image whose format they do not draw.

The API of before leaves the column alone. Where it replaces such an image, the old key stays: it is told by the upload
in its name (labeler_api.images.paths), and not used.
"""

from labeler_api.migrations.steps import forward_only, run

revision = "20261129_2000"
down_revision = "20261129_1950"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run("ALTER TABLE image_metadata ADD COLUMN rendition_key varchar(1000)")


downgrade = forward_only
