"""What PostgreSQL knows of annotations, brought up to date where an import makes it untrue.

Saves keep the plans of their statements. One that was made for a small table finds the annotations of an image by
looking at all of the project's; rows that are not committed lie in its way as well. PostgreSQL looks by itself, within
a minute of a commit.
"""

from contextlib import suppress

import msgspec

from labeler_api.context import Services
from labeler_api.db.pool import Database, WriteTransaction
from labeler_api.errors import AppError
from labeler_api.imports.writing import store
from labeler_api.jobs import worker as jobs

KIND = "imports.statistics"


class Grown(msgspec.Struct):
    """How many annotations came."""

    annotations: int


async def enqueue_statistics(tx: WriteTransaction, annotations: int) -> None:
    """Have statistics gathered when the transaction has committed: nobody waits for it."""
    await jobs.enqueue(tx, KIND, msgspec.json.encode(Grown(annotations)))


async def handle(services: Services, payload: bytes) -> None:
    """Gather them, unless it is done already, or being done."""
    await gather(services.db, msgspec.json.decode(payload, type=Grown).annotations)


async def gather(db: Database, annotations: int) -> None:
    """Let PostgreSQL see how many annotations there are now, if they are many more than it knows of."""
    with suppress(AppError):  # somebody else does it at this moment, or no connection is free
        async with db.begin() as tx:
            if await store.grows_much(tx, annotations):
                await store.analyse(tx)
