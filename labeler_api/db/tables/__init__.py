"""The Labeler DB, every table: what migrations lead to, `labeler db check` compares with, and composed statements use.

User ids refer to the User DB by value. All times are `timestamptz`; the database's clock fills those that the API
always sets.
"""

from labeler_api.db.tables.annotations import annotation_history, annotations, comments
from labeler_api.db.tables.datasets import datasets, image_metadata
from labeler_api.db.tables.deleted import deleted_image_rows, deleted_images
from labeler_api.db.tables.idempotency import idempotency_keys
from labeler_api.db.tables.invitations import invitations
from labeler_api.db.tables.maintenance import maintenance
from labeler_api.db.tables.metadata import metadata
from labeler_api.db.tables.projects import annotation_projects, annotation_tasks, project_changes, project_permissions
from labeler_api.db.tables.quarantine import QUARANTINED, migration_report, quarantine_tables
from labeler_api.db.tables.storage import labeler_identity, orphaned_objects
from labeler_api.db.tables.versions import annotation_snapshots, annotation_versions
from labeler_api.db.tables.work import image_annotation_status, image_locks, image_status_counts, importing_images

__all__ = [
    "QUARANTINED",
    "annotation_history",
    "annotation_projects",
    "annotation_snapshots",
    "annotation_tasks",
    "annotation_versions",
    "annotations",
    "comments",
    "datasets",
    "deleted_image_rows",
    "deleted_images",
    "idempotency_keys",
    "image_annotation_status",
    "image_locks",
    "image_metadata",
    "image_status_counts",
    "importing_images",
    "invitations",
    "labeler_identity",
    "maintenance",
    "metadata",
    "migration_report",
    "orphaned_objects",
    "project_changes",
    "project_permissions",
    "quarantine_tables",
]
