-- One of each thing that breaks a rule of the new schema, beside the rows in production's shape.

-- Datasets: an id longer than 50 (it can have no project), a UUID without a project, an unknown visibility, one whose owner
-- column moved with a transfer, and one for classes.
INSERT INTO datasets (id, name, owner_id, visibility, storage_path) VALUES
    (repeat('long-', 16), 'Long id', 3, 'public', 'datasets/long/'),
    ('5f0c7a52-1111-4222-8333-944455556666', 'A UUID', 4, 'team', 'datasets/5f0c/'),
    ('ds_transferred', 'Transferred', 3, 'private', 'datasets/ds_transferred/'),
    ('ds_classes', 'Classes', 2, 'private', 'datasets/ds_classes/');
INSERT INTO dataset_permissions (dataset_id, user_id, role, granted_by) VALUES
    (repeat('long-', 16), 3, 'owner', 3),
    (repeat('long-', 16), 4, 'member', 3),
    ('5f0c7a52-1111-4222-8333-944455556666', 4, 'owner', 4),
    ('ds_00000000000000a1', 4, 'member', 2),     -- only in the old table
    ('ds_00000000000000a1', 3, 'member', 2),     -- reviewer in the new one, which is higher
    ('ds_00000000000000a1', 5, 'owner', 2),      -- a second owner, viewer in the new one
    ('ds_transferred', 3, 'owner', 2),
    ('ds_transferred', 2, 'member', 3);
INSERT INTO annotation_projects (id, name, dataset_id, owner_id, task_types, task_config, settings, total_images,
    annotated_images, total_annotations, status, created_at, updated_at, task_classes) VALUES
    ('proj_transferred', 'Transferred', 'ds_transferred', 2, '{detection}', '{}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{}'),
    ('proj_classes', 'Classes', 'ds_classes', 2, '{detection,segmentation,classification}', '{}', 'null', 0, 0, 0, 'active',
     NULL, '2025-07-01 00:00:00',
     '{"detection": [{"id": 1, "name": "cat", "color": "#00ff00", "order": 0}, {"id": 7, "name": "dog", "color": "#0000ff"},
                     {"id": 7, "name": "second seven", "color": "#0000ff"}],
       "segmentation": {"9": {"name": "old", "color": "#111111"}}}');
INSERT INTO project_permissions (project_id, user_id, role, granted_by) VALUES
    ('proj_000000000001', 5, 'viewer', 2),
    ('proj_000000000001', 1, 'owner', 2),        -- a third owner, only in the new table
    ('proj_transferred', 2, 'owner', 2);

-- The same image path in the second dataset under another id, as the old key forced it.
INSERT INTO image_metadata (id, dataset_id, file_name, s3_key, size, uploaded_at, last_modified) VALUES
    ('elsewhere', 'ds_classes', 'elsewhere.jpg', 'datasets/ds_classes/images/elsewhere.jpg', 1, '2025-06-01', '2025-06-01'),
    ('v1.2', 'ds_classes', 'v1.2.jpg', 'datasets/ds_classes/images/v1.2.jpg', 1, '2025-06-01', '2025-06-01'),
    ('flat', 'ds_classes', 'flat', 'datasets/ds_classes/images/flat', 1, '2025-06-01', '2025-06-01'),
    (repeat('x', 200), 'ds_classes', 'x.jpg', repeat('/images/', 120) || 'x.jpg', 1, '2025-06-01', '2025-06-01');

-- Annotations, told apart by their notes.
INSERT INTO annotations (notes, project_id, image_id, geometry, attributes, is_verified, created_at, updated_at,
    annotation_state, task_type, annotation_type, created_by, version) VALUES
    ('no project', 'proj_nowhere', 'images/zipper/good/0001', '{}', '{}', false, now(), now(), 'draft', 'detection', 'bbox', 2, 1),
    ('no image', 'proj_000000000001', 'images/zipper/good/none', '{}', '{}', false, now(), now(), 'draft', 'detection', 'bbox', 2, 1),
    ('image of another dataset', 'proj_000000000001', 'elsewhere', '{}', '{}', false, now(), now(), 'draft', 'detection', 'bbox', 2, 1),
    ('with extension', 'proj_000000000001', 'images/zipper/good/1725.png', '{}', '{}', false, now(), now(), 'draft', 'detection', 'bbox', 2, 1),
    ('a dot that is no extension', 'proj_classes', 'v1.2', '{}', '{}', false, now(), now(), 'draft', 'detection', 'bbox', 2, 1),
    ('geometry null', 'proj_000000000001', 'images/zipper/good/0900', 'null', '{}', false, now(), now(), 'draft', 'detection', 'bbox', 2, 1),
    ('geometry list', 'proj_000000000001', 'images/zipper/good/0900', '[1]', '{}', false, now(), now(), 'draft', 'detection', 'bbox', 2, 1),
    ('attributes json null', 'proj_000000000001', 'images/zipper/good/0901', '{}', 'null', false, now(), now(), 'draft', 'detection', 'bbox', 2, 1),
    ('attributes null', 'proj_000000000001', 'images/zipper/good/0901', '{}', NULL, NULL, NULL, NULL, 'odd', 'detection', 'bbox', 2, 1),
    ('attributes list', 'proj_000000000001', 'images/zipper/good/0901', '{}', '["x"]', false, NULL, '2025-06-06 01:00', 'verified', 'detection', 'bbox', 2, 3),
    ('no time at all', 'proj_000000000001', 'images/zipper/good/0903', '{}', '{}', false, NULL, NULL, 'draft', 'detection', 'bbox', 2, 1),
    ('confirmed without a task', 'proj_000000000001', 'images/zipper/good/0902', '{}', '{}', false, '2025-06-06', '2025-06-07', 'confirmed', 'detection', 'bbox', 2, 2),
    ('confirmed without a task', 'proj_000000000001', 'images/zipper/good/0902', '{}', '{}', false, '2025-06-06', '2025-06-07', 'confirmed', 'classification', 'classification', 2, 2);
INSERT INTO annotation_history (annotation_id, project_id, action, previous_state, new_state, changed_by, timestamp)
SELECT id, project_id, 'create', 'null', '{}', 2, NULL FROM annotations WHERE notes IN ('no project', 'with extension', 'geometry null');

-- Statuses: without a task (twice, which the old index allowed), of a project and an image that are gone, by an id with
-- extension beside its right twin, without annotations, with numbers that are wrong.
INSERT INTO image_annotation_status (project_id, image_id, status, confirmed_at, total_annotations, is_image_confirmed, task_type) VALUES
    ('proj_000000000001', 'images/zipper/good/0902', 'completed', '2025-06-08 00:00', 2, true, NULL),
    ('proj_000000000001', 'images/zipper/good/0902', 'in-progress', NULL, 2, false, NULL),
    ('proj_000000000001', 'images/zipper/good/0902', 'in-progress', NULL, 1, false, 'detection'),
    ('proj_nowhere', 'images/zipper/good/0001', 'in-progress', NULL, 1, false, 'detection'),
    ('proj_000000000002', 'images/zipper/good/0001', 'completed', NULL, 1, true, NULL),
    ('proj_000000000001', 'images/zipper/good/none', 'in-progress', NULL, 1, false, 'detection'),
    ('proj_000000000001', 'images/zipper/good/1725', 'in-progress', NULL, 9, false, 'detection'),
    ('proj_000000000001', 'images/zipper/good/1725.png', 'completed', '2025-06-09 00:00', 1, true, 'detection'),
    ('proj_000000000001', 'images/zipper/good/1000', 'completed', '2025-06-09 00:00', 1, true, 'detection'),
    ('proj_000000000001', 'images/zipper/good/1001', 'odd', NULL, 1, false, NULL);

INSERT INTO image_locks (project_id, image_id, user_id, expires_at) VALUES
    ('ds_00000000000000a1', 'images/zipper/good/0001', 2, now()),       -- a dataset's id, as call 55 stored it
    ('proj_000000000002', 'images/zipper/good/0001', 2, now()),
    ('proj_000000000001', 'images/zipper/good/none', 2, now()),
    ('proj_000000000001', 'images/zipper/good/0001.png', 3, now()),     -- its image is held already
    ('proj_000000000001', 'images/zipper/good/0007.png', 3, now()),
    ('proj_000000000001', 'images/zipper/good/0007.jpg', 4, now());

INSERT INTO annotation_versions (project_id, task_type, version_number, version_type, created_by, download_url, export_path) VALUES
    ('proj_000000000001', 'detection', 'v1.0', 'published', 2, 'http://old/link', 'exports/proj_000000000001/detection/v1.0/annotations.json'),
    ('proj_000000000003', 'detection', 'v1.0', 'published', 2, NULL, NULL),
    ('proj_nowhere', 'detection', 'v1.0', 'published', 2, NULL, NULL);
INSERT INTO annotation_snapshots (version_id, annotation_id, snapshot_data)
SELECT id, 1, '{"class_id": "a1b2c3d4"}' FROM annotation_versions;
INSERT INTO annotation_snapshots (version_id, annotation_id, snapshot_data) VALUES (99999, 1, '{}');

INSERT INTO invitations (token, project_id, inviter_id, invitee_id, invitee_email, role, status, created_at, expires_at) VALUES
    ('older', 'ds_00000000000000a1', 2, 5, 'viewer@example.com', 'viewer', 'pending', '2025-06-01', '2025-06-08'),
    ('oldest', 'ds_00000000000000a1', 2, 5, 'viewer@example.com', 'admin', 'pending', '2025-05-01', '2025-05-08'),
    ('newest', 'ds_00000000000000a1', 2, 5, 'viewer@example.com', 'owner', 'pending', '2025-06-02', '2025-06-09'),
    ('accepted', 'ds_00000000000000a1', 2, 5, 'viewer@example.com', 'owner', 'accepted', '2025-04-02', '2025-04-09'),
    ('by project', 'proj_classes', 2, 5, 'viewer@example.com', 'viewer', 'pending', '2025-06-02', '2025-06-09'),
    ('orphan', 'ds_gone9', 2, 5, 'viewer@example.com', 'viewer', 'pending', '2025-06-02', '2025-06-09'),
    ('odd role', 'ds_classes', 2, 5, 'viewer@example.com', 'member', 'accepted', '2025-06-02', '2025-06-09'),
    ('odd status', 'ds_classes', 2, 5, 'viewer@example.com', 'viewer', 'lost', '2025-06-02', '2025-06-09');

INSERT INTO annotation_tasks (id, project_id, name) VALUES ('t1', 'proj_000000000001', 'Kept'), ('t2', 'proj_nowhere', 'Orphan');
INSERT INTO comments (project_id, image_id, text, author_id) VALUES
    ('proj_000000000001', 'images/zipper/good/0001', 'Kept', 2), ('proj_000000000004', 'images/zipper/good/0001', 'Orphan', 2);
