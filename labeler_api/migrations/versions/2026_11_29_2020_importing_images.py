"""Which images an import is at work on, so that a save on one of them is refused and no other has to wait.

The API of before neither reads nor writes it.
"""

from labeler_api.migrations.steps import forward_only, run

revision = "20261129_2020"
down_revision = "20261129_2010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(
        """
        CREATE TABLE importing_images (
            project_id varchar(50) NOT NULL,
            image_id varchar(255) NOT NULL,
            import_id bigint NOT NULL,
            user_id integer NOT NULL,
            started_at timestamp with time zone NOT NULL DEFAULT now(),
            CONSTRAINT importing_images_pkey PRIMARY KEY (project_id, image_id, import_id)
        )
        """
    )


downgrade = forward_only
