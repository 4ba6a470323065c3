"""Where deleted images wait for thirty days, with what was drawn on them.

The API of before neither reads nor writes these tables: to it a deleted image is gone. Its sweep does not know that the
objects of such an image are still needed, and would put them on its list, which it removes from after seven days; the
sweep of the new API takes them off again.
"""

from labeler_api.migrations.steps import forward_only, run

revision = "20261129_2050"
down_revision = "20261129_2030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(
        """
        CREATE TABLE deleted_images (
            id bigserial NOT NULL,
            dataset_id varchar(100) NOT NULL,
            image_id varchar(255) NOT NULL,
            deleted_by integer NOT NULL,
            deleted_at timestamptz NOT NULL DEFAULT now(),
            restorable_until timestamptz NOT NULL,
            purge_after timestamptz NOT NULL,
            annotation_count integer NOT NULL,
            s3_key varchar(1000) NOT NULL,
            thumbnail_key varchar(1000),
            rendition_key varchar(1000),
            image jsonb NOT NULL,
            CONSTRAINT deleted_images_pkey PRIMARY KEY (id),
            CONSTRAINT fk_deleted_images_dataset_id_datasets FOREIGN KEY (dataset_id)
                REFERENCES datasets (id) ON DELETE CASCADE
        )
        """
    )
    run("CREATE INDEX ix_deleted_images_dataset_id_id ON deleted_images (dataset_id, id)")
    run("CREATE INDEX ix_deleted_images_dataset_id_image_id ON deleted_images (dataset_id, image_id)")
    run("CREATE INDEX ix_deleted_images_purge_after ON deleted_images (purge_after)")
    run(
        """
        CREATE TABLE deleted_image_rows (
            id bigserial NOT NULL,
            deleted_image_id bigint NOT NULL,
            project_id varchar(50) NOT NULL,
            table_name varchar(63) NOT NULL,
            row jsonb NOT NULL,
            CONSTRAINT deleted_image_rows_pkey PRIMARY KEY (id),
            CONSTRAINT ck_deleted_image_rows_table_name
                CHECK (table_name IN ('annotations', 'image_annotation_status')),
            CONSTRAINT fk_deleted_image_rows_deleted_image_id_deleted_images FOREIGN KEY (deleted_image_id)
                REFERENCES deleted_images (id) ON DELETE CASCADE,
            CONSTRAINT fk_deleted_image_rows_project_id_annotation_projects FOREIGN KEY (project_id)
                REFERENCES annotation_projects (id) ON DELETE CASCADE
        )
        """
    )
    run("CREATE INDEX ix_deleted_image_rows_deleted_image_id ON deleted_image_rows (deleted_image_id)")
    run("CREATE INDEX ix_deleted_image_rows_project_id ON deleted_image_rows (project_id)")


downgrade = forward_only
