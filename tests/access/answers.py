"""The keys of every answer, as the contract with the labeler frontend names them; `+` marks what was added to it.

`name: [Shape]` is a list of objects, `name: Shape` an object or null; other values are not looked into.
"""

SHAPES = """
Token: access_token token_type
Me: id email username full_name company division department system_role is_active is_admin badge_color created_at
    updated_at +organization
Found: id email full_name avatar_name badge_color system_role
Search: users:[Found] total limit offset
User: id email full_name avatar_name badge_color system_role organization_id is_active created_at +organization
Dataset: id name description owner_id format source visibility labeled num_items size_mb storage_path tags created_at
    updated_at owner_name owner_email owner_badge_color
Project: id name description dataset_id owner_id task_types task_config task_classes settings total_images
    annotated_images total_annotations status created_at updated_at last_updated_by dataset_name dataset_num_items
    last_updated_by_name last_updated_by_email
Preview: id file_name width height url thumbnail_url
Size: total_images total_bytes total_mb total_gb
Task: task_type not_started in_progress completed
Thumbnail: image_id file_name url thumbnail_url
Summary: dataset_id name total_images total_bytes annotated_images total_annotations tasks:[Task]
    thumbnails:[Thumbnail] updated_at
ImpactProject: project_id project_name task_types annotation_count image_count version_count
FileCounts: annotations exports images
Impact: dataset_id dataset_name projects:[ImpactProject] total_projects total_images total_annotations total_versions
    storage_size_mb file_counts:FileCounts +storage_is_estimated
Deleted: annotations image_statuses annotation_versions annotation_snapshots projects
Purged: dataset_files export_files
Deletion: dataset_id dataset_name deleted backup_created backup_files labeler_deletions:Deleted s3_deletions:Purged
    impact:Impact +backup:[Backup]
Backup: key size_bytes sha256 rows
Failed: filename reason
Uploaded: id file_name width height size replaced
Upload: images_uploaded annotations_imported storage_bytes_used folder_structure +failed:[Failed] +failed_total
    +images:[Uploaded] +import_report:ImportReport
ImageDeletion: deletion_id image_id annotations
DeletedImages: dataset_id deleted annotations restorable_until images:[ImageDeletion] missing
DeletedImage: deletion_id image_id file_name folder_path size width height annotations deleted_at deleted_by
    deleted_by_name restorable_until is_restorable url thumbnail_url
DeletedPage: dataset_id images:[DeletedImage]
Restored: dataset_id restored annotations image_ids missing
NewDataset: dataset_id dataset_name project_id upload_summary:Upload
Folder: path name file_count total_size_bytes depth
Structure: dataset_id total_files total_size_bytes folders:[Folder] is_complete
NewFile: filename path size status
PreviewSummary: total_new total_duplicates total_files
StoragePreview: dataset_id target_folder current_structure:Structure new_files:[NewFile] duplicate_files:[NewFile]
    +refused_files:[RefusedFile] +refused_total summary:PreviewSummary
RefusedFile: filename path size reason
Permission: id dataset_id user_id role granted_by granted_at user_name user_email user_badge_color granted_by_name
    granted_by_email
Member: id project_id user_id role granted_by granted_at user_name user_email user_badge_color granted_by_name
    granted_by_email
Transfer: message new_owner_user_id previous_owner_user_id
Image: id key filename file_name size last_modified url thumbnail_url width height +folder_path
Images: images:[Image] total dataset_id project_id
Status: id project_id image_id task_type status first_modified_at last_modified_at confirmed_at total_annotations
    confirmed_annotations draft_annotations is_image_confirmed has_no_object
Statuses: statuses:[Status] total project_id +next_cursor
TaskStats: task_type total_images not_started in_progress completed confirmed
Stats: project_id total_images task_stats:[TaskStats]
ImageConfirm: image_id is_confirmed confirmed_at status total_annotations confirmed_annotations
Class: class_id name color description order image_count bbox_count
Annotation: id project_id image_id annotation_type geometry class_id class_name attributes confidence created_by
    updated_by is_verified notes version annotation_state confirmed_at confirmed_by created_at updated_at
    created_by_name updated_by_name confirmed_by_name
Message: message
Batch: created failed annotation_ids errors
History: id annotation_id project_id action previous_state new_state changed_by timestamp changed_by_name
    changed_by_email +revision +image_id
Confirm: annotation_id annotation_state confirmed_at confirmed_by confirmed_by_name
BulkConfirm: confirmed failed results:[Confirm] errors
AddedClass: task_type class_id name
ImportReport: status format imported skipped total replaced images +skipped_images tasks tasks_added
    classes_added:[AddedClass] warnings errors error_count code detail
Import: status project_id imported skipped total +report:ImportReport
Lock: image_id user_id locked_at expires_at heartbeat_at user_name user_email
Acquired: status lock:Lock locked_by:Lock
Released: status
Heartbeat: status lock:Lock
Locks: locks:[Lock]
Export: export_path download_url download_url_expires_at export_format annotation_count image_count file_size_bytes
    images_left_out
Version: id project_id task_type version_number version_type created_at created_by description annotation_count
    image_count export_format export_path download_url download_url_expires_at created_by_name created_by_email
Versions: versions:[Version] total project_id
Invitation: id project_id inviter_user_id invitee_user_id invitee_email role status token created_at expires_at
    accepted_at cancelled_at inviter_name invitee_name project_name
Invitations: invitations:[Invitation] total
Accepted: message project_id role permission_id
Organization: id name company division max_users max_storage_gb max_gpu_hours_per_month created_at updated_at
Organizations: organizations:[Organization] total limit offset
Workspace: id organization_id name description created_at updated_at
Workspaces: workspaces:[Workspace] total limit offset
Root: name version status environment docs
Health: status version environment
Databases: platform_db labeler_db
Ready: status labeler_db user_gateway object_store
"""

CALLS = """
POST /auth/login Token
GET /auth/me Me
GET /users/search Search
GET /users/{user_id} User
POST /datasets Dataset
GET /datasets [Dataset]
PUT /datasets/{dataset_id} Dataset
GET /datasets/{dataset_id} Dataset
GET /datasets/{dataset_id}/project Project
GET /datasets/{dataset_id}/images [Preview]
GET /datasets/{dataset_id}/summary Summary
GET /datasets/{dataset_id}/size Size
GET /datasets/{dataset_id}/deletion-impact Impact
DELETE /datasets/{dataset_id} Deletion
POST /datasets/upload NewDataset
POST /datasets/{dataset_id}/images Upload
DELETE /datasets/{dataset_id}/images/{image_id} DeletedImages
POST /datasets/{dataset_id}/images/delete DeletedImages
GET /datasets/{dataset_id}/images/deleted DeletedPage
POST /datasets/{dataset_id}/images/restore Restored
GET /datasets/{dataset_id}/storage/structure Structure
POST /datasets/{dataset_id}/storage/preview StoragePreview
POST /datasets/{dataset_id}/permissions/invite Permission
GET /datasets/{dataset_id}/permissions [Permission]
PUT /datasets/{dataset_id}/permissions/{user_id} Permission
POST /datasets/{dataset_id}/permissions/transfer-owner Permission
POST /projects Project
GET /projects [Project]
GET /projects/{project_id} Project
PATCH /projects/{project_id} Project
GET /projects/{project_id}/images Images
POST /projects/{project_id}/task-types Project
GET /projects/{project_id}/images/status Statuses
GET /projects/{project_id}/stats Stats
POST /projects/{project_id}/images/{image_id}/confirm ImageConfirm
POST /projects/{project_id}/images/{image_id}/unconfirm ImageConfirm
GET /projects/{project_id}/permissions [Member]
POST /projects/{project_id}/permissions Member
PATCH /projects/{project_id}/permissions/{user_id} Member
POST /projects/{project_id}/transfer-ownership Transfer
POST /projects/{project_id}/classes Class
PATCH /projects/{project_id}/classes/{class_id} Class
PUT /projects/{project_id}/classes/reorder [Class]
POST /annotations Annotation
GET /annotations/{annotation_id} Annotation
PUT /annotations/{annotation_id} Annotation
DELETE /annotations/{annotation_id} Message
GET /annotations/project/{project_id} [Annotation]
POST /annotations/batch Batch
GET /annotations/history/project/{project_id} [History]
GET /annotations/history/annotation/{annotation_id} [History]
POST /annotations/{annotation_id}/confirm Confirm
POST /annotations/{annotation_id}/unconfirm Confirm
POST /annotations/bulk-confirm BulkConfirm
POST /annotations/{annotation_id}/restore Annotation
POST /annotations/import/project/{project_id} Import
POST /image-locks/{project_id}/{image_id}/acquire Acquired
DELETE /image-locks/{project_id}/{image_id} Released
POST /image-locks/{project_id}/{image_id}/heartbeat Heartbeat
GET /image-locks/{project_id} Locks
GET /image-locks/{project_id}/{image_id}/status Lock
DELETE /image-locks/{project_id}/{image_id}/force Released
POST /projects/{project_id}/export Export
POST /export Export
POST /projects/{project_id}/versions/publish Version
GET /projects/{project_id}/versions Versions
POST /invitations Invitation
GET /invitations Invitations
POST /invitations/accept Accepted
POST /invitations/{invitation_id}/cancel Invitation
GET /platform/organizations Organizations
GET /platform/organizations/{organization_id} Organization
GET /platform/workspaces Workspaces
GET / Root
GET /health Health
GET /health/db Databases
GET /health/ready Ready
GET /health/deploy Ready
"""
# What answers no JSON of ours: an empty body, bytes, a page.
WITHOUT = (
    "OPTIONS /auth/login",
    "DELETE /datasets/{dataset_id}/permissions/{user_id}",
    "DELETE /projects/{project_id}",
    "DELETE /projects/{project_id}/permissions/{user_id}",
    "DELETE /projects/{project_id}/classes/{class_id}",
)
