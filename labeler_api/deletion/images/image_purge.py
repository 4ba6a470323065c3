"""The job that lets deleted images go for good, when nobody can bring them back any more.

Once a day. Its transaction forgets the rows and orders the removal of the objects (labeler_api.images.removal), which
comes a day later, as for images that were replaced. An image that a published version has annotations of stays: a
version without its pictures is of no use to who trains on it. It is looked at again every month, since versions go with
their project alone.
"""

from datetime import timedelta

import structlog

from labeler_api.context import Services
from labeler_api.db.pool import Row
from labeler_api.deletion.images import store
from labeler_api.images import removal

KIND = "deletion.purge_images"
FIRST_AFTER = timedelta(hours=1)  # as the sweep: not in the middle of a start

_EVERY = timedelta(hours=24)
_LOOK_AGAIN = timedelta(days=30)
_BATCH = 100  # three keys each, in one job of the queue

log = structlog.get_logger("labeler_api.deletion")


async def handle(services: Services, _payload: bytes) -> timedelta:
    """Let go what is due, a batch a transaction; return when to look again."""
    gone = kept = 0
    while True:
        async with services.db.begin(long=True) as tx:
            due = await store.due(tx, _BATCH)
            if not due:
                break
            needed = await store.needed(tx, [row["id"] for row in due])
            await store.put_off(tx, sorted(needed), _LOOK_AGAIN)
            free = [row for row in due if row["id"] not in needed]
            await store.drop(tx, [row["id"] for row in free])
            await removal.enqueue_removal(tx, [key for row in free for key in _keys(row) if key])
        gone, kept = gone + len(free), kept + len(needed)
    log.info("purged deleted images", images=gone, kept_for_versions=kept)
    return _EVERY


def _keys(row: Row) -> tuple[str | None, ...]:
    return row["s3_key"], row["thumbnail_key"], row["rendition_key"]
