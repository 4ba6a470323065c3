"""Both sides of the tie between the Labeler DB and its buckets, opened for a command."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from labeler_api.db.pool import Database, PoolOptions
from labeler_api.instruments import Instruments
from labeler_api.objects import ObjectStore
from labeler_api.settings import Settings
from labeler_api.tie import Tie


@dataclass(frozen=True, slots=True)
class Sides:
    """The database, the store whose deletions ask for the tie, and the tie."""

    db: Database
    objects: ObjectStore
    tie: Tie
    instruments: Instruments


async def both_sides(settings: Settings, stack: AsyncExitStack) -> Sides:
    """Open both; `stack` closes them. Nothing is asked yet."""
    instruments = Instruments()
    # One connection, which is given back after every look: nothing is held while the store is listed.
    options = PoolOptions(min_size=1, max_size=1, acquire_seconds=10)
    db = await Database.connect(settings.labeler_db_url, options, instruments)
    stack.push_async_callback(db.close)
    objects = await ObjectStore.connect(settings, stack, instruments)
    objects.guard = tie = Tie(db, objects, settings.buckets, instruments.metrics)
    return Sides(db, objects, tie, instruments)
