-- Rows in production's numbers and shape: one dataset of 1,725 images, six projects (five without their dataset), 327
-- annotations, 1,536 history entries.

INSERT INTO datasets (id, name, owner_id, storage_path, num_images, created_at, updated_at)
VALUES ('ds_00000000000000a1', 'MVTec-AD', 2, 'datasets/ds_00000000000000a1/', 1700, '2025-06-01 09:00:00', '2025-06-02 09:00:00');
INSERT INTO dataset_permissions (dataset_id, user_id, role, granted_by, granted_at)
VALUES ('ds_00000000000000a1', 2, 'owner', 2, '2025-06-01 09:00:00');

INSERT INTO annotation_projects (id, name, dataset_id, owner_id, task_types, task_config, settings, total_images,
    annotated_images, total_annotations, status, created_at, updated_at, task_classes)
SELECT 'proj_' || lpad(n::text, 12, '0'), 'Project ' || n,
       CASE n WHEN 1 THEN 'ds_00000000000000a1' ELSE 'ds_gone' || n END, 2,
       '{detection,segmentation}', '{"detection": {"type": "bbox"}}', '{}', 1700, 90, 326, 'active',
       '2025-06-01 00:00:00', '2025-06-01 00:00:00',
       '{"detection": {"a1b2c3d4": {"name": "crack", "color": "#ff0000", "description": null, "order": 0,
         "image_count": 0, "bbox_count": 0}}}'
FROM generate_series(1, 6) AS n;
INSERT INTO project_permissions (project_id, user_id, role, granted_by, granted_at)
SELECT 'proj_' || lpad(n::text, 12, '0'), 2, 'owner', 2, '2025-06-01 09:00:00' FROM generate_series(1, 6) AS n;
INSERT INTO project_permissions (project_id, user_id, role, granted_by) VALUES ('proj_000000000001', 3, 'reviewer', 2);

INSERT INTO image_metadata (id, dataset_id, file_name, s3_key, folder_path, size, uploaded_at, last_modified)
SELECT 'images/zipper/good/' || lpad(n::text, 4, '0'), 'ds_00000000000000a1', lpad(n::text, 4, '0') || '.png',
       'datasets/ds_00000000000000a1/images/images/zipper/good/' || lpad(n::text, 4, '0') || '.png',
       'images/zipper/good', 100000 + n, '2025-06-01 01:00:00', '2025-06-01 01:00:00'
FROM generate_series(1, 1725) AS n;

-- 200 in the living project (two a task and image on images 1-50), 127 in the five others.
INSERT INTO annotations (project_id, image_id, annotation_type, geometry, class_id, class_name, attributes, created_by,
    is_verified, created_at, updated_at, annotation_state, confirmed_at, confirmed_by, task_type, version)
SELECT CASE WHEN n < 200 THEN 'proj_000000000001' ELSE 'proj_' || lpad((2 + n % 5)::text, 12, '0') END,
       'images/zipper/good/' || lpad((1 + n / 4 % 50)::text, 4, '0'),
       CASE n % 2 WHEN 0 THEN 'bbox' ELSE 'polygon' END,
       '{"type": "bbox", "bbox": [1, 2, 30, 40], "image_width": 640, "image_height": 480}', 'a1b2c3d4', 'crack', '{}', 2,
       false, timestamp '2025-06-03 03:00:00' + n * interval '1 minute', timestamp '2025-06-04 03:00:00',
       CASE WHEN n % 4 = 0 THEN 'confirmed' ELSE 'draft' END,
       CASE WHEN n % 4 = 0 THEN timestamp '2025-06-04 03:00:00' END, CASE WHEN n % 4 = 0 THEN 2 END,
       CASE n % 2 WHEN 0 THEN 'detection' ELSE 'segmentation' END, 1
FROM generate_series(0, 326) AS n;

INSERT INTO annotation_history (annotation_id, project_id, action, previous_state, new_state, changed_by, timestamp)
SELECT a.id, a.project_id, CASE k WHEN 0 THEN 'create' ELSE 'update' END,
       CASE k WHEN 0 THEN 'null' ELSE '{"notes": "before"}' END::jsonb, '{"notes": "after"}', 2,
       a.created_at + k * interval '1 second'
FROM annotations a, generate_series(0, 3) AS k;
INSERT INTO annotation_history (annotation_id, project_id, action, previous_state, new_state, changed_by, timestamp)
SELECT 100000 + n, 'proj_000000000001', 'delete',
       '{"annotation_type": "bbox", "geometry": {"type": "bbox"}, "image_id": "images/zipper/good/0001"}', 'null', 2,
       '2025-06-05 00:00:00' FROM generate_series(1, 1536 - 327 * 4) AS n;

INSERT INTO image_annotation_status (project_id, image_id, status, total_annotations, confirmed_annotations,
    draft_annotations, task_type)
SELECT DISTINCT ON (project_id, image_id, task_type) project_id, image_id, 'in-progress', 1, 0, 1, task_type FROM annotations;
INSERT INTO image_locks (project_id, image_id, user_id, locked_at, heartbeat_at, expires_at)
VALUES ('proj_000000000001', 'images/zipper/good/0001', 2, '2025-06-05 09:00', '2025-06-05 09:01', '2025-06-05 00:06');
