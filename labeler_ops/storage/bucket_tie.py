"""Both sides of the tie between the Labeler DB and its buckets, opened for a command."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from labeler_api.db.failures import FAILURES
from labeler_api.db.pool import Database, PoolOptions
from labeler_api.errors import AppError, Unavailable
from labeler_api.object_store.bucket_ownership import BucketOwnership, OwnershipStatus
from labeler_api.object_store.objects import ObjectStore
from labeler_api.settings import Settings
from labeler_api.telemetry.instruments import Instruments
from labeler_ops.storage.access import StorageAccess

_NAMES = ("LABELER_DB_URL", "LABELER_DB_HOST", "DATABASE_UNPOOLED_URL", "DATABASE_URL", "PGHOST")
_NO_DATABASE = "postgresql://none@none.invalid/none"


@dataclass(frozen=True, slots=True)
class OpenedTie:
    """The database, the store whose deletions ask for the tie, and the tie."""

    db: Database
    objects: ObjectStore
    tie: BucketOwnership
    instruments: Instruments


def stand_in(environ: Mapping[str, str]) -> dict[str, str]:
    """Give the settings a Labeler DB where the environment names none, for commands that can do without one."""
    return {} if any(environ.get(name) for name in _NAMES) else {"LABELER_DB_URL": _NO_DATABASE}


async def open_tie(settings: Settings, stack: AsyncExitStack) -> OpenedTie:
    """Open both; `stack` closes them. Nothing is asked yet."""
    instruments = Instruments()
    # One connection, which is given back after every look: nothing is held while the store is listed.
    options = PoolOptions(min_size=1, max_size=1, acquire_seconds=10, statement_cache=settings.db_statement_cache)
    db = await Database.connect(settings.labeler_db_url, options, instruments)
    stack.push_async_callback(db.close)
    objects = await ObjectStore.connect(settings, stack, instruments)
    objects.guard = tie = BucketOwnership(db, objects, settings.buckets, instruments.metrics)
    return OpenedTie(db, objects, tie, instruments)


def access_of(settings: Settings) -> StorageAccess:
    """Where the store of an API is, for a client of its own."""
    return StorageAccess(
        endpoint=settings.storage_url,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key,
        region=settings.s3_region,
        datasets_bucket=settings.s3_bucket_datasets,
        annotations_bucket=settings.s3_bucket_annotations,
    )


def settings_of(dsn: str, access: StorageAccess) -> Settings:
    """Make the settings of an API on a database and a store."""
    return Settings(
        labeler_db_url=dsn,
        s3_endpoint=access.endpoint,
        s3_access_key=access.access_key,
        s3_secret_key=access.secret_key,
        s3_region=access.region,
        s3_bucket_datasets=access.datasets_bucket,
        s3_bucket_annotations=access.annotations_bucket,
    )


async def adopt(dsn: str, access: StorageAccess) -> list[OwnershipStatus]:
    """Tie buckets that name nobody and whose database is known to be this one. Raises AppError."""
    async with AsyncExitStack() as stack:
        return await (await open_tie(settings_of(dsn, access), stack)).tie.adopt()


async def tied_if_empty(settings: Settings) -> list[OwnershipStatus]:
    """Tie buckets that are empty, where there is a database to tie them to. Never raises for what is away."""
    if settings.labeler_db_url == _NO_DATABASE:
        text = "not looked at: no Labeler DB is given. The first start of the API ties empty buckets."
        return [OwnershipStatus(bucket, "missing", text) for bucket in settings.buckets]
    try:
        async with AsyncExitStack() as stack:
            return await (await open_tie(settings, stack)).tie.tie_empty()
    except (AppError, *FAILURES) as error:
        said = error.detail if isinstance(error, AppError) else " ".join(str(error).split())
        text = f"not tied: {said} The first start of the API ties empty buckets."
        return [OwnershipStatus(bucket, "missing", text) for bucket in settings.buckets]


async def read_ties(settings: Settings) -> list[OwnershipStatus]:
    """Read what both buckets say of this database, and change nothing. Raises Unavailable when a side is away."""
    if settings.labeler_db_url == _NO_DATABASE:
        raise Unavailable("The tie was not looked at, since no Labeler DB is given (LABELER_DB_URL).", code="not_tied")
    async with AsyncExitStack() as stack:
        tie = (await open_tie(settings, stack)).tie
        identity = await tie.identity()
        return [await tie.look(bucket, identity) for bucket in settings.buckets]
