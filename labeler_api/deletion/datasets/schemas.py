"""Wire types of deletion."""

from typing import Annotated

from msgspec import Meta, Struct


class ProjectImpact(Struct):
    """What goes with a project: `image_count` images are labeled in it, `version_count` versions were published."""

    project_id: str
    project_name: str
    task_types: list[str]
    annotation_count: int
    image_count: int
    version_count: int


class FileCounts(Struct):
    """Objects in the store: annotation files beside the images, files of exports and versions, and images."""

    annotations: int
    exports: int
    images: int


class DeletionImpact(Struct):
    """What the deletion of a dataset takes away; the storage is that of both buckets, thumbnails with it.

    `storage_is_estimated`: the store could not be listed in time, and its part is what the database knows of it.
    """

    dataset_id: str
    dataset_name: str
    projects: list[ProjectImpact]
    total_projects: int
    total_images: int
    total_annotations: int
    total_versions: int
    storage_size_mb: float
    file_counts: FileCounts
    storage_is_estimated: bool


class DeleteDataset(Struct):
    """The dataset's name, exactly, and whether to write a backup first."""

    dataset_name_confirmation: Annotated[str, Meta(max_length=1000)]
    create_backup: bool = False


class LabelerDeletions(Struct):
    """Rows that are deleted from now on."""

    annotations: int
    image_statuses: int
    annotation_versions: int
    annotation_snapshots: int
    projects: int


class StorageDeletions(Struct):
    """Objects that are purged from now on: as many as were there when the deletion was decided."""

    dataset_files: int
    export_files: int


class BackupFile(Struct):
    """A file of the backup that was read back and found to be what was written."""

    key: str
    size_bytes: int
    sha256: str
    rows: dict[str, int]


class DeletedDataset(Struct):
    """What a deletion did. `backup_files` names each project's DICE file, `backup` every file of the backup."""

    dataset_id: str
    dataset_name: str
    deleted: bool
    backup_created: bool
    backup_files: dict[str, str]
    backup: list[BackupFile]
    labeler_deletions: LabelerDeletions
    s3_deletions: StorageDeletions
    impact: DeletionImpact
