"""The job that removes the objects of what was deleted.

It is enqueued by the transaction that deletes the last row (`rows.py`), three times over: at once, for what is there;
and twice later, for what requests that had begun before the deletion still put there. An upload notices the deletion
with the rows of its next hundred images, a publishing when it is done; both end long before the last pass. Whatever is
put even later is found by the daily sweep (labeler_api.storage.orphans.sweep).
"""

from contextlib import aclosing
from datetime import timedelta

import msgspec
import structlog

from labeler_api.context import Services
from labeler_api.db.pool import WriteTransaction
from labeler_api.deletion.datasets import store
from labeler_api.errors import Unavailable
from labeler_api.jobs import worker as jobs
from labeler_api.object_store.objects import ObjectStore

KIND = "deletion.purge"

_PASSES = (timedelta(0), timedelta(minutes=15), timedelta(hours=24))
_BATCH = 1000  # what one call lists, and one call deletes

log = structlog.get_logger("labeler_api.deletion")


class DeletionTarget(msgspec.Struct):
    """Whose objects: a dataset's (None: it stays) and those of projects."""

    dataset_id: str | None
    project_ids: list[str]


async def enqueue_purge(tx: WriteTransaction, purge: DeletionTarget) -> None:
    """Have it done when, and only when, the transaction commits."""
    await jobs.enqueue(tx, KIND, msgspec.json.encode(purge), after=_PASSES)


async def handle(services: Services, payload: bytes) -> None:
    """Remove every object, and every unfinished upload, of what was deleted. Raises Unavailable when the store is away.

    What is (again) in the database keeps its objects: a database that was put back to a state before the deletion must
    not lose them to a job of after it.
    """
    purge = msgspec.json.decode(payload, type=DeletionTarget)
    async with services.db.read() as connection:
        there = await store.survivors(connection, purge.dataset_id, purge.project_ids)
    if there:
        log.error("not purged: it is in the database", dataset_id=purge.dataset_id, there=there)
        return
    settings, removed = services.settings, 0
    if purge.dataset_id is not None:
        removed += await _empty(services.objects, settings.s3_bucket_datasets, f"datasets/{purge.dataset_id}/")
    for project_id in purge.project_ids:
        removed += await _empty(services.objects, settings.s3_bucket_annotations, f"exports/{project_id}/")
    log.info("purged", dataset_id=purge.dataset_id, project_ids=purge.project_ids, objects=removed)


async def _empty(objects: ObjectStore, bucket: str, prefix: str) -> int:
    """Remove everything under a prefix; return how many objects that were."""
    removed, before = 0, list[str]()
    # Listed again after each batch, so that no store has to continue a list whose entries are going away.
    while keys := await _first_keys(objects, bucket, prefix):
        if keys == before:
            raise Unavailable(f"{bucket}: the store deletes {prefix}, and still lists it.", code="storage_unavailable")
        await objects.delete_many(bucket, keys)
        removed, before = removed + len(keys), keys
    async with aclosing(objects.unfinished(bucket, prefix)) as uploads:
        for upload in [upload async for upload in uploads]:
            await objects.give_up(bucket, upload)
    return removed


async def _first_keys(objects: ObjectStore, bucket: str, prefix: str) -> list[str]:
    keys: list[str] = []
    async with aclosing(objects.list(bucket, prefix)) as entries:
        async for entry in entries:
            keys.append(entry.key)
            if len(keys) == _BATCH:
                break
    return keys
