"""Use cases of deletion: its impact, a dataset's, a project's.

One transaction decides, in milliseconds, whatever there is to delete: nobody finds the dataset or the project any more
(labeler_api.deletion.datasets.store). It orders the deletion of the rows (…datasets.rows), after which the objects are
purged (…datasets.purge). A backup, when one is asked for, is written and read back before it, and holds exactly what
was there at that moment.
"""

import asyncio
from dataclasses import dataclass

from labeler_api.context import Call
from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.deletion.backup import service as backup_service
from labeler_api.deletion.backup.service import Backup
from labeler_api.deletion.datasets import row_deletion, store
from labeler_api.deletion.datasets.object_purge import DeletionTarget
from labeler_api.deletion.datasets.schemas import (
    DeleteDataset,
    DeletedDataset,
    DeletionImpact,
    FileCounts,
    LabelerDeletions,
    ProjectImpact,
    StorageDeletions,
)
from labeler_api.deletion.datasets.stored_files import StoredFiles, stored_files
from labeler_api.errors import BadRequest, Conflict, RetryTransaction, Unavailable
from labeler_api.members.authorization.service import Access, authorize, not_found
from labeler_api.members.policy import MAY_DELETE_DATASET, MAY_DELETE_PROJECT, ProjectLock

_DELETE_SECONDS = 600.0  # the backup of a million annotations with their history: about two minutes
_LISTED_IMAGES = 500  # three objects each: two pages of a list, some 50 ms; the call for the impact waits for it
_BACKUP_TRIES = 3  # while others go on writing; then they have to be asked to stop
_RETRY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class _Locked:
    """A dataset that nobody else writes to."""

    access: Access
    name: str
    images_revision: int
    revision: int | None


async def impact(call: Call, reference: str) -> DeletionImpact:
    """Say what the deletion of a dataset would take away."""
    async with call.db.read() as connection:
        _, row = await _require(connection, call, reference)
    return _impact(row, await stored_files(call, row))


async def delete_dataset(call: Call, reference: str, body: DeleteDataset) -> DeletedDataset:
    """Delete a dataset. Raises NotFound, Forbidden, then BadRequest for another name; with nothing lost."""
    try:
        async with asyncio.timeout(_DELETE_SECONDS):
            return await _delete_dataset(call, reference, body)
    except TimeoutError:
        raise Unavailable(
            "Deleting took longer than ten minutes and was given up; nothing is lost. Try again when the system is "
            "less busy.",
            code="deletion_timeout",
            retry_after=_RETRY_SECONDS,
        ) from None


async def delete_project(call: Call, reference: str) -> None:
    """Delete a project; its dataset stays, with the annotation files that were copied beside its images."""
    async with call.db.begin(long=True) as tx:  # an import may be at work: it is waited for
        access = await authorize(tx, call, reference, MAY_DELETE_PROJECT, ProjectLock.EXCLUSIVE)
        await store.hide_project(tx, access.require_project_id())
        await store.cancel_invitations(tx, access.dataset_id)
        await row_deletion.enqueue_rows_deletion(
            tx, DeletionTarget(dataset_id=None, project_ids=[access.require_project_id()])
        )


async def _delete_dataset(call: Call, reference: str, body: DeleteDataset) -> DeletedDataset:
    async with call.db.read() as connection:
        access, row = await _require(connection, call, reference)
    _check_name(row["dataset_name"], body.dataset_name_confirmation)
    files = await stored_files(call, row, most_images=_LISTED_IMAGES)
    saved: Backup | None = None
    for _ in range(_BACKUP_TRIES if body.create_backup else 1):
        if body.create_backup:
            saved = await backup_service.write(call, access.dataset_id, saved)
        deletions = await _decide(call, reference, body.dataset_name_confirmation, saved)
        if deletions is not None:
            return _answer(row, files, deletions, saved)
    raise Conflict(
        "Others keep changing this dataset, so no backup of it was complete. Nothing was deleted. Ask them to stop, "
        "then try again.",
        code="changed_during_backup",
    )


async def _decide(call: Call, reference: str, name: str, saved: Backup | None) -> LabelerDeletions | None:
    """Let nobody find it, and order the rest; None, with nothing done, when the backup is not of the present state."""
    async with call.db.begin(long=True) as tx:
        locked = await _lock(tx, call, reference)
        _check_name(locked.name, name)
        if saved is not None and (saved.revision, saved.images_revision) != (locked.revision, locked.images_revision):
            return None
        project_id, dataset_id = locked.access.project_id, locked.access.dataset_id
        project_ids = [project_id] if project_id is not None else []
        deletions = await _hide_projects(tx, project_ids)
        await store.hide_dataset(tx, dataset_id)
        await row_deletion.enqueue_rows_deletion(tx, DeletionTarget(dataset_id=dataset_id, project_ids=project_ids))
    return deletions


async def _hide_projects(tx: WriteTransaction, project_ids: list[str]) -> LabelerDeletions:
    """Let nobody find a dataset's project, if it has one; count what goes with it."""
    deletions = LabelerDeletions(0, 0, 0, 0, projects=len(project_ids))
    for project_id in project_ids:
        if counted := await store.contents(tx, project_id):
            deletions.annotations, deletions.image_statuses = counted["annotations"], counted["statuses"]
            deletions.annotation_versions, deletions.annotation_snapshots = counted["versions"], counted["snapshots"]
        await store.hide_project(tx, project_id)
    return deletions


async def _lock(tx: WriteTransaction, call: Call, reference: str) -> _Locked:
    """Check the role once more and keep everybody else out. Raises NotFound, Forbidden, RetryTransaction."""
    access = await authorize(tx, call, reference, MAY_DELETE_DATASET, ProjectLock.EXCLUSIVE)
    dataset = await store.lock_dataset(tx, access.dataset_id)
    if dataset is None:
        raise not_found()
    project = await store.project_of(tx, access.dataset_id)
    if (project["id"] if project is not None else None) != access.project_id:
        raise RetryTransaction("The dataset got or lost its project at this moment. Try again.", retry_after=1)
    revision = project["revision"] if project is not None else None
    return _Locked(access, dataset["name"], dataset["images_revision"], revision)


async def _require(connection: ReadConnection, call: Call, reference: str) -> tuple[Access, Row]:
    access = await authorize(connection, call, reference, MAY_DELETE_DATASET, ProjectLock.NONE)
    row = await store.impact(connection, access.dataset_id)
    if row is None:  # deleted since the access was checked
        raise not_found()
    return access, row


def _check_name(name: str, confirmation: str) -> None:
    if confirmation != name:
        raise BadRequest(
            f"The name does not match. To delete this dataset, type its name exactly: {name}", code="name_mismatch"
        )


def _answer(row: Row, files: StoredFiles, deletions: LabelerDeletions, saved: Backup | None) -> DeletedDataset:
    return DeletedDataset(
        dataset_id=row["dataset_id"],
        dataset_name=row["dataset_name"],
        deleted=True,
        backup_created=saved is not None,
        backup_files=saved.dice_keys if saved is not None else {},
        backup=saved.files if saved is not None else [],
        labeler_deletions=deletions,
        s3_deletions=StorageDeletions(dataset_files=files.dataset_files, export_files=files.export_files),
        impact=_impact(row, files),
    )


def _impact(row: Row, files: StoredFiles) -> DeletionImpact:
    projects = []
    if row["project_id"] is not None:
        projects.append(
            ProjectImpact(
                project_id=row["project_id"],
                project_name=row["project_name"],
                task_types=row["task_types"],
                annotation_count=row["annotations"],
                image_count=row["images"],
                version_count=row["versions"],
            )
        )
    return DeletionImpact(
        dataset_id=row["dataset_id"],
        dataset_name=row["dataset_name"],
        projects=projects,
        total_projects=len(projects),
        total_images=row["images"],
        total_annotations=row["annotations"],
        total_versions=row["versions"],
        storage_size_mb=files.megabytes,
        file_counts=FileCounts(annotations=files.annotations, exports=files.export_files, images=files.images),
        storage_is_estimated=files.estimated,
    )
