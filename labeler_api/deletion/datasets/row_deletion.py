"""The job that deletes the rows of what was deleted, and then has their objects removed.

It is enqueued by the transaction that hides a dataset or a project. It deletes batch by batch, so that nobody waits for
it. A process that dies leaves the rest to the next one. The last transaction
deletes the dataset itself, or the project, and orders the purge of the objects: while a row is there, no object goes.
"""

import msgspec
import structlog

from labeler_api.context import Services
from labeler_api.db.pool import WriteTransaction
from labeler_api.deletion.datasets import object_purge, rows_store
from labeler_api.deletion.datasets.object_purge import DeletionTarget
from labeler_api.deletion.datasets.rows_store import DeletionBatch
from labeler_api.jobs import worker as jobs

KIND = "deletion.rows"

log = structlog.get_logger("labeler_api.deletion")


async def enqueue_rows_deletion(tx: WriteTransaction, hidden: DeletionTarget) -> None:
    """Have it done when, and only when, the transaction commits."""
    await jobs.enqueue(tx, KIND, msgspec.json.encode(hidden))


async def handle(services: Services, payload: bytes) -> None:
    """Delete all rows of hidden datasets and projects. Those that were un-hidden meanwhile keep theirs."""
    hidden = msgspec.json.decode(payload, type=DeletionTarget)
    async with services.db.read() as connection:
        project_ids = [one for one in hidden.project_ids if await rows_store.is_hidden_project(connection, one)]
        dataset_id = hidden.dataset_id
        if dataset_id is not None and not await rows_store.is_hidden_dataset(connection, dataset_id):
            dataset_id = None
    for project_id in project_ids:
        await _empty_project(services, project_id)
    if dataset_id is not None:
        await _empty(services, rows_store.OF_DATASET, dataset_id)
    async with services.db.begin(long=True) as tx:
        gone = DeletionTarget(dataset_id, [one for one in project_ids if await rows_store.delete_project(tx, one)])
        if dataset_id is None or not await rows_store.delete_dataset(tx, dataset_id):
            gone.dataset_id = None
        if gone.dataset_id is not None or gone.project_ids:
            await object_purge.enqueue_purge(tx, gone)
    log.info("deleted the rows", dataset_id=gone.dataset_id, project_ids=gone.project_ids)


async def _empty_project(services: Services, project_id: str) -> None:
    while True:
        async with services.db.begin() as tx:
            version_id = await rows_store.next_version(tx, project_id)
        if version_id is None:
            break
        await _empty(services, rows_store.OF_VERSION, version_id)
        async with services.db.begin() as tx:
            await rows_store.delete_version(tx, version_id)
    await _empty(services, rows_store.OF_PROJECT, project_id)


async def _empty(services: Services, parts: tuple[DeletionBatch, ...], owner: str | int) -> None:
    """Delete the rows of an owner, a batch a transaction."""
    for part in parts:
        behind: tuple[object, ...] | None = part.first
        while behind is not None:
            async with services.db.begin() as tx:
                behind = await rows_store.delete_batch(tx, part, owner, behind)
