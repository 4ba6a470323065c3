"""The tables of the schema in production, for the first revision; indexes beyond keys stand there."""

TABLES = (
    """
    CREATE TABLE datasets (
        id varchar(100) PRIMARY KEY,
        name varchar(200) NOT NULL,
        description text,
        owner_id integer NOT NULL,
        visibility varchar(20) NOT NULL DEFAULT 'private',
        tags text,
        storage_path varchar(500) NOT NULL,
        storage_type varchar(20) NOT NULL DEFAULT 's3',
        format varchar(50) NOT NULL DEFAULT 'images',
        labeled boolean NOT NULL DEFAULT false,
        annotation_path varchar(500),
        num_classes integer,
        num_images integer NOT NULL DEFAULT 0,
        class_names text,
        is_snapshot boolean NOT NULL DEFAULT false,
        parent_dataset_id varchar(100),
        snapshot_created_at timestamp,
        version_tag varchar(50),
        status varchar(20) NOT NULL DEFAULT 'active',
        integrity_status varchar(20) NOT NULL DEFAULT 'valid',
        version integer NOT NULL DEFAULT 1,
        content_hash varchar(64),
        last_modified_at timestamp,
        created_at timestamp NOT NULL DEFAULT now(),
        updated_at timestamp NOT NULL DEFAULT now(),
        split_config text
    )
    """,
    """
    CREATE TABLE dataset_permissions (
        id serial PRIMARY KEY,
        dataset_id varchar(100) NOT NULL,
        user_id integer NOT NULL,
        role varchar(20) NOT NULL,
        granted_by integer NOT NULL,
        granted_at timestamp NOT NULL DEFAULT now(),
        CONSTRAINT fk_dataset_permissions_dataset FOREIGN KEY (dataset_id) REFERENCES datasets (id) ON DELETE CASCADE,
        CONSTRAINT uq_dataset_user UNIQUE (dataset_id, user_id),
        CONSTRAINT ck_dataset_permissions_role CHECK (role IN ('owner', 'member'))
    )
    """,
    """
    CREATE TABLE annotation_projects (
        id varchar(50) PRIMARY KEY,
        name varchar(255) NOT NULL,
        description text,
        dataset_id varchar(50) NOT NULL,
        owner_id integer NOT NULL,
        task_types varchar(50)[] NOT NULL,
        task_config jsonb NOT NULL,
        settings jsonb,
        total_images integer,
        annotated_images integer,
        total_annotations integer,
        status varchar(20),
        created_at timestamp,
        updated_at timestamp,
        last_updated_by integer,
        task_classes jsonb NOT NULL DEFAULT '{}'
    )
    """,
    """
    CREATE TABLE project_permissions (
        id serial PRIMARY KEY,
        project_id varchar(50) NOT NULL,
        user_id integer NOT NULL,
        role varchar(20) NOT NULL,
        granted_by integer NOT NULL,
        granted_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
        CONSTRAINT fk_project_permissions_project FOREIGN KEY (project_id) REFERENCES annotation_projects (id) ON DELETE CASCADE,
        CONSTRAINT uq_project_user UNIQUE (project_id, user_id),
        CONSTRAINT ck_project_permissions_role CHECK (role IN ('owner', 'admin', 'reviewer', 'annotator', 'viewer'))
    )
    """,
    """
    CREATE TABLE image_metadata (
        id varchar(200) PRIMARY KEY,
        dataset_id varchar(100) NOT NULL,
        file_name varchar(500) NOT NULL,
        s3_key varchar(1000) NOT NULL,
        folder_path varchar(1000),
        size bigint NOT NULL,
        width integer,
        height integer,
        uploaded_at timestamp NOT NULL,
        last_modified timestamp NOT NULL,
        CONSTRAINT image_metadata_dataset_id_fkey FOREIGN KEY (dataset_id) REFERENCES datasets (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE annotations (
        id bigserial PRIMARY KEY,
        project_id varchar(50) NOT NULL,
        image_id varchar(255) NOT NULL,
        annotation_type varchar(20) NOT NULL,
        geometry jsonb NOT NULL,
        class_id varchar(50),
        class_name varchar(255),
        attributes jsonb,
        confidence integer,
        created_by integer NOT NULL,
        updated_by integer,
        is_verified boolean,
        notes text,
        created_at timestamp,
        updated_at timestamp,
        annotation_state varchar(20) NOT NULL DEFAULT 'draft',
        confirmed_at timestamp,
        confirmed_by integer,
        task_type varchar(50) NOT NULL,
        version integer NOT NULL
    )
    """,
    """
    CREATE TABLE annotation_history (
        id bigserial PRIMARY KEY,
        annotation_id bigint NOT NULL,
        project_id varchar(50) NOT NULL,
        action varchar(20) NOT NULL,
        previous_state jsonb,
        new_state jsonb,
        changed_by integer NOT NULL,
        timestamp timestamp
    )
    """,
    """
    CREATE TABLE image_annotation_status (
        id serial PRIMARY KEY,
        project_id varchar(50) NOT NULL,
        image_id varchar(255) NOT NULL,
        status varchar(20) NOT NULL DEFAULT 'not-started',
        first_modified_at timestamp,
        last_modified_at timestamp,
        confirmed_at timestamp,
        total_annotations integer NOT NULL DEFAULT 0,
        confirmed_annotations integer NOT NULL DEFAULT 0,
        draft_annotations integer NOT NULL DEFAULT 0,
        is_image_confirmed boolean NOT NULL DEFAULT false,
        task_type varchar(50)
    )
    """,
    """
    CREATE TABLE image_locks (
        id serial PRIMARY KEY,
        project_id varchar(50) NOT NULL,
        image_id varchar(255) NOT NULL,
        user_id integer NOT NULL,
        locked_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
        expires_at timestamp NOT NULL,
        heartbeat_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
        CONSTRAINT uq_project_image_lock UNIQUE (project_id, image_id)
    )
    """,
    """
    CREATE TABLE annotation_versions (
        id serial PRIMARY KEY,
        project_id varchar(50) NOT NULL,
        task_type varchar(20) NOT NULL,
        version_number varchar(20) NOT NULL,
        version_type varchar(20) NOT NULL,
        created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
        created_by integer,
        description text,
        annotation_count integer,
        image_count integer,
        export_format varchar(20),
        export_path text,
        download_url text,
        download_url_expires_at timestamp
    )
    """,
    """
    CREATE TABLE annotation_snapshots (
        id bigserial PRIMARY KEY,
        version_id integer NOT NULL,
        annotation_id bigint NOT NULL,
        snapshot_data jsonb NOT NULL
    )
    """,
    """
    CREATE TABLE invitations (
        id serial PRIMARY KEY,
        token varchar(255) NOT NULL,
        project_id varchar(50) NOT NULL,
        inviter_id integer NOT NULL,
        invitee_id integer NOT NULL,
        invitee_email varchar(255) NOT NULL,
        role varchar(20) NOT NULL,
        status varchar(20) NOT NULL,
        message text,
        created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
        expires_at timestamp NOT NULL,
        accepted_at timestamp,
        cancelled_at timestamp
    )
    """,
    """
    CREATE TABLE annotation_tasks (
        id varchar(50) PRIMARY KEY,
        project_id varchar(50) NOT NULL,
        name varchar(255) NOT NULL,
        description text,
        assignee_id integer,
        reviewer_id integer,
        image_ids varchar(255)[],
        total_images integer,
        completed_images integer,
        status varchar(20),
        due_date timestamp,
        completed_at timestamp,
        created_at timestamp,
        updated_at timestamp
    )
    """,
    """
    CREATE TABLE comments (
        id bigserial PRIMARY KEY,
        project_id varchar(50) NOT NULL,
        image_id varchar(255) NOT NULL,
        annotation_id bigint,
        text text NOT NULL,
        parent_id bigint,
        thread_id bigint,
        resolved boolean,
        author_id integer NOT NULL,
        created_at timestamp,
        updated_at timestamp
    )
    """,
)
