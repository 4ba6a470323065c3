-- The Labeler DB of the current backend, written from its description and not from the first revision: a check of that revision.
-- Keys and indexes are added after the tables, as a restored dump has them.

CREATE TABLE alembic_version (version_num varchar(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
INSERT INTO alembic_version VALUES ('20251124_0000');

CREATE TABLE datasets (
    id character varying(100) NOT NULL, name character varying(200) NOT NULL, description text, owner_id integer NOT NULL,
    visibility character varying(20) DEFAULT 'private'::character varying NOT NULL, tags text,
    storage_path character varying(500) NOT NULL,
    storage_type character varying(20) DEFAULT 's3'::character varying NOT NULL,
    format character varying(50) DEFAULT 'images'::character varying NOT NULL,
    labeled boolean DEFAULT false NOT NULL, annotation_path character varying(500), num_classes integer,
    num_images integer DEFAULT 0 NOT NULL, class_names text, is_snapshot boolean DEFAULT false NOT NULL,
    parent_dataset_id character varying(100), snapshot_created_at timestamp without time zone, version_tag character varying(50),
    status character varying(20) DEFAULT 'active'::character varying NOT NULL,
    integrity_status character varying(20) DEFAULT 'valid'::character varying NOT NULL,
    version integer DEFAULT 1 NOT NULL, content_hash character varying(64), last_modified_at timestamp without time zone,
    created_at timestamp without time zone DEFAULT now() NOT NULL,
    updated_at timestamp without time zone DEFAULT now() NOT NULL, split_config text
);
CREATE TABLE dataset_permissions (
    id SERIAL, dataset_id varchar(100) NOT NULL, user_id int NOT NULL, role varchar(20) NOT NULL, granted_by int NOT NULL,
    granted_at timestamp without time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_dataset_permissions_role CHECK (role IN ('owner', 'member'))
);
CREATE TABLE annotation_projects (
    id varchar(50) NOT NULL, name varchar(255) NOT NULL, description text, dataset_id varchar(50) NOT NULL, owner_id int NOT NULL,
    task_types varchar(50)[] NOT NULL, task_config jsonb NOT NULL, settings jsonb, total_images int, annotated_images int,
    total_annotations int, status varchar(20), created_at timestamp without time zone, updated_at timestamp without time zone,
    last_updated_by int, task_classes jsonb DEFAULT '{}'::jsonb NOT NULL
);
CREATE TABLE project_permissions (
    id SERIAL, project_id varchar(50) NOT NULL, user_id int NOT NULL, role varchar(20) NOT NULL, granted_by int NOT NULL,
    granted_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL
);
CREATE TABLE image_metadata (
    id varchar(200) NOT NULL, dataset_id varchar(100) NOT NULL, file_name varchar(500) NOT NULL, s3_key varchar(1000) NOT NULL,
    folder_path varchar(1000), size bigint NOT NULL, width int, height int,
    uploaded_at timestamp without time zone NOT NULL, last_modified timestamp without time zone NOT NULL
);
CREATE TABLE annotations (
    id BIGSERIAL, project_id varchar(50) NOT NULL, image_id varchar(255) NOT NULL, annotation_type varchar(20) NOT NULL,
    geometry jsonb NOT NULL, class_id varchar(50), class_name varchar(255), attributes jsonb, confidence int,
    created_by int NOT NULL, updated_by int, is_verified boolean, notes text,
    created_at timestamp without time zone, updated_at timestamp without time zone,
    annotation_state varchar(20) DEFAULT 'draft'::character varying NOT NULL,
    confirmed_at timestamp without time zone, confirmed_by int, task_type varchar(50) NOT NULL, version int NOT NULL
);
CREATE TABLE annotation_history (
    id BIGSERIAL, annotation_id bigint NOT NULL, project_id varchar(50) NOT NULL, action varchar(20) NOT NULL,
    previous_state jsonb, new_state jsonb, changed_by int NOT NULL, "timestamp" timestamp without time zone
);
CREATE TABLE image_annotation_status (
    id SERIAL, project_id varchar(50) NOT NULL, image_id varchar(255) NOT NULL,
    status varchar(20) DEFAULT 'not-started'::character varying NOT NULL,
    first_modified_at timestamp without time zone, last_modified_at timestamp without time zone,
    confirmed_at timestamp without time zone, total_annotations int DEFAULT 0 NOT NULL,
    confirmed_annotations int DEFAULT 0 NOT NULL, draft_annotations int DEFAULT 0 NOT NULL,
    is_image_confirmed boolean DEFAULT false NOT NULL, task_type varchar(50)
);
CREATE TABLE image_locks (
    id SERIAL, project_id varchar(50) NOT NULL, image_id varchar(255) NOT NULL, user_id int NOT NULL,
    locked_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    expires_at timestamp without time zone NOT NULL,
    heartbeat_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL
);
CREATE TABLE annotation_versions (
    id SERIAL, project_id varchar(50) NOT NULL, task_type varchar(20) NOT NULL, version_number varchar(20) NOT NULL,
    version_type varchar(20) NOT NULL, created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    created_by int, description text, annotation_count int, image_count int, export_format varchar(20), export_path text,
    download_url text, download_url_expires_at timestamp without time zone
);
CREATE TABLE annotation_snapshots (
    id BIGSERIAL, version_id int NOT NULL, annotation_id bigint NOT NULL, snapshot_data jsonb NOT NULL
);
CREATE TABLE invitations (
    id SERIAL, token varchar(255) NOT NULL, project_id varchar(50) NOT NULL, inviter_id int NOT NULL, invitee_id int NOT NULL,
    invitee_email varchar(255) NOT NULL, role varchar(20) NOT NULL, status varchar(20) NOT NULL, message text,
    created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL, expires_at timestamp without time zone NOT NULL,
    accepted_at timestamp without time zone, cancelled_at timestamp without time zone
);
CREATE TABLE annotation_tasks (
    id varchar(50) NOT NULL, project_id varchar(50) NOT NULL, name varchar(255) NOT NULL, description text, assignee_id int,
    reviewer_id int, image_ids varchar(255)[], total_images int, completed_images int, status varchar(20),
    due_date timestamp without time zone, completed_at timestamp without time zone,
    created_at timestamp without time zone, updated_at timestamp without time zone
);
CREATE TABLE comments (
    id BIGSERIAL, project_id varchar(50) NOT NULL, image_id varchar(255) NOT NULL, annotation_id bigint, text text NOT NULL,
    parent_id bigint, thread_id bigint, resolved boolean, author_id int NOT NULL,
    created_at timestamp without time zone, updated_at timestamp without time zone
);

ALTER TABLE datasets ADD CONSTRAINT datasets_pkey PRIMARY KEY (id);
ALTER TABLE dataset_permissions ADD CONSTRAINT dataset_permissions_pkey PRIMARY KEY (id);
ALTER TABLE dataset_permissions ADD CONSTRAINT uq_dataset_user UNIQUE (dataset_id, user_id);
ALTER TABLE annotation_projects ADD CONSTRAINT annotation_projects_pkey PRIMARY KEY (id);
ALTER TABLE project_permissions ADD CONSTRAINT project_permissions_pkey PRIMARY KEY (id);
ALTER TABLE project_permissions ADD CONSTRAINT uq_project_user UNIQUE (project_id, user_id);
ALTER TABLE project_permissions ADD CONSTRAINT ck_project_permissions_role
    CHECK (role IN ('owner', 'admin', 'reviewer', 'annotator', 'viewer'));
ALTER TABLE image_metadata ADD CONSTRAINT image_metadata_pkey PRIMARY KEY (id);
ALTER TABLE annotations ADD CONSTRAINT annotations_pkey PRIMARY KEY (id);
ALTER TABLE annotation_history ADD CONSTRAINT annotation_history_pkey PRIMARY KEY (id);
ALTER TABLE image_annotation_status ADD CONSTRAINT image_annotation_status_pkey PRIMARY KEY (id);
ALTER TABLE image_locks ADD CONSTRAINT image_locks_pkey PRIMARY KEY (id);
ALTER TABLE image_locks ADD CONSTRAINT uq_project_image_lock UNIQUE (project_id, image_id);
ALTER TABLE annotation_versions ADD CONSTRAINT annotation_versions_pkey PRIMARY KEY (id);
ALTER TABLE annotation_snapshots ADD CONSTRAINT annotation_snapshots_pkey PRIMARY KEY (id);
ALTER TABLE invitations ADD CONSTRAINT invitations_pkey PRIMARY KEY (id);
ALTER TABLE annotation_tasks ADD CONSTRAINT annotation_tasks_pkey PRIMARY KEY (id);
ALTER TABLE comments ADD CONSTRAINT comments_pkey PRIMARY KEY (id);

ALTER TABLE dataset_permissions ADD CONSTRAINT fk_dataset_permissions_dataset
    FOREIGN KEY (dataset_id) REFERENCES datasets (id) ON DELETE CASCADE;
ALTER TABLE image_metadata ADD CONSTRAINT image_metadata_dataset_id_fkey
    FOREIGN KEY (dataset_id) REFERENCES datasets (id) ON DELETE CASCADE;
ALTER TABLE project_permissions ADD CONSTRAINT fk_project_permissions_project
    FOREIGN KEY (project_id) REFERENCES annotation_projects (id) ON DELETE CASCADE;

CREATE INDEX ix_datasets_owner_id ON datasets (owner_id);
CREATE INDEX ix_datasets_owner_id_created_at ON datasets (owner_id, created_at);
CREATE INDEX ix_dataset_permissions_dataset_id ON dataset_permissions (dataset_id);
CREATE INDEX ix_dataset_permissions_dataset_user ON dataset_permissions (dataset_id, user_id);
CREATE INDEX ix_dataset_permissions_user_id ON dataset_permissions (user_id);
CREATE UNIQUE INDEX ix_annotation_projects_dataset_id ON annotation_projects (dataset_id);
CREATE INDEX ix_annotation_projects_owner_id ON annotation_projects (owner_id);
CREATE INDEX ix_annotation_projects_owner_id_created_at ON annotation_projects (owner_id, created_at);
CREATE INDEX ix_annotation_projects_created_at ON annotation_projects (created_at);
CREATE INDEX ix_annotation_projects_last_updated_by ON annotation_projects (last_updated_by);
CREATE INDEX ix_project_permissions_project_id ON project_permissions (project_id);
CREATE INDEX ix_project_permissions_project_user ON project_permissions (project_id, user_id);
CREATE INDEX ix_project_permissions_user_id ON project_permissions (user_id);
CREATE INDEX ix_image_metadata_dataset ON image_metadata (dataset_id);
CREATE INDEX ix_image_metadata_dataset_id ON image_metadata (dataset_id);
CREATE INDEX ix_image_metadata_folder ON image_metadata (dataset_id, folder_path);
CREATE INDEX ix_image_metadata_uploaded ON image_metadata (dataset_id, uploaded_at);
CREATE INDEX ix_annotations_annotation_state ON annotations (annotation_state);
CREATE INDEX ix_annotations_annotation_type ON annotations (annotation_type);
CREATE INDEX ix_annotations_created_at ON annotations (created_at);
CREATE INDEX ix_annotations_created_by ON annotations (created_by);
CREATE INDEX ix_annotations_image_id ON annotations (image_id);
CREATE INDEX ix_annotations_project_id ON annotations (project_id);
CREATE INDEX ix_annotations_project_image ON annotations (project_id, image_id);
CREATE INDEX ix_annotations_project_image_task ON annotations (project_id, image_id, task_type);
CREATE INDEX ix_annotations_project_task ON annotations (project_id, task_type);
CREATE INDEX ix_annotations_project_type ON annotations (project_id, annotation_type);
CREATE INDEX ix_annotations_task_type ON annotations (task_type);
CREATE INDEX ix_annotations_version ON annotations (version);
CREATE INDEX ix_annotation_history_annotation_id ON annotation_history (annotation_id);
CREATE INDEX ix_annotation_history_annotation_timestamp ON annotation_history (annotation_id, "timestamp");
CREATE INDEX ix_annotation_history_project_id ON annotation_history (project_id);
CREATE INDEX ix_annotation_history_timestamp ON annotation_history ("timestamp");
CREATE UNIQUE INDEX ix_image_annotation_status_project_image_task
    ON image_annotation_status (project_id, image_id, task_type);
CREATE INDEX ix_image_annotation_status_project_id ON image_annotation_status (project_id);
CREATE INDEX ix_image_annotation_status_image_id ON image_annotation_status (image_id);
CREATE INDEX ix_image_annotation_status_status ON image_annotation_status (status);
CREATE INDEX ix_image_annotation_status_task_type ON image_annotation_status (task_type);
CREATE INDEX ix_image_annotation_status_project_status ON image_annotation_status (project_id, status);
CREATE INDEX ix_image_locks_project_id ON image_locks (project_id);
CREATE INDEX ix_image_locks_user_id ON image_locks (user_id);
CREATE INDEX ix_image_locks_expires_at ON image_locks (expires_at);
CREATE UNIQUE INDEX ix_annotation_versions_project_task_version
    ON annotation_versions (project_id, task_type, version_number);
CREATE INDEX ix_annotation_versions_project_id ON annotation_versions (project_id);
CREATE INDEX ix_annotation_versions_project_type ON annotation_versions (project_id, version_type);
CREATE INDEX ix_annotation_versions_task_type ON annotation_versions (task_type);
CREATE INDEX ix_annotation_snapshots_version ON annotation_snapshots (version_id);
CREATE INDEX ix_annotation_snapshots_version_id ON annotation_snapshots (version_id);
CREATE INDEX ix_annotation_snapshots_annotation ON annotation_snapshots (annotation_id);
CREATE INDEX ix_annotation_snapshots_annotation_id ON annotation_snapshots (annotation_id);
CREATE UNIQUE INDEX ix_invitations_token ON invitations (token);
CREATE INDEX ix_invitations_project_id ON invitations (project_id);
CREATE INDEX ix_invitations_inviter_id ON invitations (inviter_id);
CREATE INDEX ix_invitations_invitee_id ON invitations (invitee_id);
CREATE INDEX ix_invitations_status ON invitations (status);
CREATE INDEX ix_invitations_invitee_email ON invitations (invitee_email);
CREATE INDEX ix_annotation_tasks_assignee_id ON annotation_tasks (assignee_id);
CREATE INDEX ix_annotation_tasks_assignee_status ON annotation_tasks (assignee_id, status);
CREATE INDEX ix_annotation_tasks_project_id ON annotation_tasks (project_id);
CREATE INDEX ix_annotation_tasks_status ON annotation_tasks (status);
CREATE INDEX ix_comments_annotation_id ON comments (annotation_id);
CREATE INDEX ix_comments_created_at ON comments (created_at);
CREATE INDEX ix_comments_image_id ON comments (image_id);
CREATE INDEX ix_comments_project_id ON comments (project_id);
CREATE INDEX ix_comments_project_image ON comments (project_id, image_id);
