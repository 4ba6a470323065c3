"""The removal of objects that no image has any more: those that were replaced, and those that never got a row.

It is ordered in the transaction that makes them useless, and done a day later: until then a list that somebody has open
may link to them, and a process that has not heard of the change may read them.
"""

from collections.abc import Sequence
from datetime import timedelta

import msgspec
import structlog

from labeler_api.context import Services
from labeler_api.db.pool import WriteTransaction
from labeler_api.images.upload import store as upload_store
from labeler_api.jobs import worker as jobs

KIND = "images.removal"

# Links to images end within 24 hours of the list that they stand in (labeler_api.tokens.signed_links): two windows of
# twelve hours.
_AFTER = timedelta(hours=25)

log = structlog.get_logger("labeler_api.images")


class Removal(msgspec.Struct):
    """Keys in the bucket of datasets. The sweep reads `keys` by SQL (labeler_api.storage.orphans.store)."""

    keys: list[str]


async def enqueue_removal(tx: WriteTransaction, keys: Sequence[str]) -> None:
    """Have the objects removed in due time when, and only when, the transaction commits."""
    if keys:
        await jobs.enqueue(tx, KIND, msgspec.json.encode(Removal(keys=list(keys))), after=(_AFTER,))


async def handle(services: Services, payload: bytes) -> None:
    """Remove what no row refers to. Raises Unavailable when the store is away.

    A row may refer to it again, in a database that was put back to a state before, or still: legacy images of two
    datasets may have one object.
    """
    keys = msgspec.json.decode(payload, type=Removal).keys
    async with services.db.read() as connection:
        held = await upload_store.referred(connection, keys)
    if held:
        log.warning("not removed: a row refers to it", keys=sorted(held)[:10], count=len(held))
    unused = [key for key in keys if key not in held]
    await services.objects.delete_many(services.settings.s3_bucket_datasets, unused)
    log.info("removed objects that were replaced", objects=len(unused))
