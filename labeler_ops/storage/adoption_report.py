"""`labeler storage adopt`: what both sides of a tie say of themselves, and of each other."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import msgspec
from rich.console import Console
from rich.table import Table

from labeler_api.errors import NotFound
from labeler_api.object_store.bucket_ownership import KEY, PROBE_PREFIX, OwnershipStatus
from labeler_api.object_store.objects import ObjectStore
from labeler_api.settings import Settings
from labeler_ops.runs import endpoint_name
from labeler_ops.storage.bucket_tie import OpenedTie

COUNTED_AT_MOST = 100_000  # a hundred list calls, some ten seconds; more objects would not tell more
SAMPLE = 200  # of either side: a pair that belongs together lacks a few, two strangers share none
_HEADS_AT_ONCE = 16

_COUNTS = "SELECT (SELECT count(*) FROM datasets) AS datasets, (SELECT count(*) FROM image_metadata) AS images"
# A deleted image can be brought back for a while: its row is elsewhere, its object is where it was.
_HAS_DELETED = "SELECT to_regclass('public.deleted_images') IS NOT NULL"
_DELETED = "SELECT count(*) FROM deleted_images"
_KEYS = "SELECT s3_key FROM image_metadata"
_KEYS_OF_DELETED = " UNION SELECT s3_key FROM deleted_images"


class Sample(msgspec.Struct, frozen=True):
    """How many were looked at, and how many of these are there on the other side."""

    looked_at: int
    found: int

    @property
    def mostly_missing(self) -> bool:
        """Whether less than half of it is there."""
        return self.found * 2 < self.looked_at

    def __str__(self) -> str:
        return f"{self.found:,} of {self.looked_at:,}"


class BucketState(msgspec.Struct, frozen=True):
    """A bucket: how many objects it has, counted up to COUNTED_AT_MOST, and what it says of its database."""

    look: OwnershipStatus
    objects: int

    @property
    def counted(self) -> str:
        """The number, for people."""
        return f"{self.objects:,} objects" + (" or more" if self.objects >= COUNTED_AT_MOST else "")


class AdoptionReport(msgspec.Struct, frozen=True):
    """What is shown before a tie is made. `rows` are image rows whose object is there, `objects` those with a row.

    Rows of deleted images count: their objects are kept until nobody may bring the image back.
    """

    host: str
    name: str
    id: str
    datasets: int
    images: int
    deleted: int
    endpoint: str
    buckets: list[BucketState]
    rows: Sample
    objects: Sample

    @property
    def tied(self) -> bool:
        """Whether there is nothing to do."""
        return all(bucket.look.state == "tied" for bucket in self.buckets)

    @property
    def others(self) -> set[str]:
        """The ids of other databases that a bucket names."""
        ties = (bucket.look.tie for bucket in self.buckets if bucket.look.state == "other")
        return {str(tie.id) for tie in ties if tie is not None}

    @property
    def doubt(self) -> str | None:
        """Why the two do not look like a pair; None when they do."""
        if self.rows.mostly_missing:
            return f"of the database's images, only {self.rows} that were looked for are in the bucket"
        if self.objects.mostly_missing:
            return f"of the bucket's images, only {self.objects} that were looked at are in the database"
        return None

    def show(self, console: Console) -> None:
        """Print both sides, one under the other."""
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_row("database", f"{self.name} on {self.host}")
        table.add_row("its id", self.id)
        deleted = f", {self.deleted:,} deleted images" if self.deleted else ""
        table.add_row("it has", f"{self.datasets:,} datasets, {self.images:,} images{deleted}")
        table.add_row("its images in the bucket", f"{self.rows} that were looked for")
        table.add_row("store", self.endpoint)
        for bucket in self.buckets:
            table.add_row(f"bucket {bucket.look.bucket}", f"{bucket.counted}; {bucket.look.text}")
        table.add_row("its images in the database", f"{self.objects} that were looked at")
        console.print(table, markup=False, highlight=False)


async def look_at_both(settings: Settings, sides: OpenedTie) -> AdoptionReport:
    """Ask both sides. Raises AppError when one of them does not answer."""
    await sides.objects.ping()
    identity = await sides.tie.identity()
    async with sides.db.read() as connection:
        (counts,) = await connection.fetch(_COUNTS)
        deleted = await connection.fetchval(_DELETED) if await connection.fetchval(_HAS_DELETED) else 0
        rows = _KEYS + (_KEYS_OF_DELETED if deleted else "")
        some = await connection.fetch(f"SELECT s3_key FROM ({rows}) k ORDER BY random() LIMIT $1", SAMPLE)  # noqa: S608
        keys = [row["s3_key"] for row in some]
    buckets, listed = [], list[str]()
    for bucket in settings.buckets:
        number, found = await _counted(sides.objects, bucket)
        buckets.append(BucketState(await sides.tie.look(bucket, identity), number))
        listed += found if bucket == settings.s3_bucket_datasets else []
    looked_at = listed[:: max(1, len(listed) // SAMPLE)][:SAMPLE]
    async with sides.db.read() as connection:
        wanted = f"SELECT count(DISTINCT s3_key) FROM ({rows}) k WHERE s3_key = ANY ($1::text[])"  # noqa: S608
        known = await connection.fetchval(wanted, looked_at)
    return AdoptionReport(
        host=endpoint_name(settings.labeler_db_url).partition("/")[0],
        name=identity.name,
        id=str(identity.id),
        datasets=counts["datasets"],
        images=counts["images"],
        deleted=deleted,
        endpoint=settings.storage_url,
        buckets=buckets,
        rows=Sample(len(keys), await _present(sides.objects, settings.s3_bucket_datasets, keys)),
        objects=Sample(len(looked_at), known),
    )


async def _counted(objects: ObjectStore, bucket: str) -> tuple[int, list[str]]:
    """Count the objects of a bucket, and return the keys of those that are images by their key."""
    number, images = 0, list[str]()
    async with aclosing(objects.list(bucket, "")) as entries:
        async for entry in entries:
            if entry.key == KEY or entry.key.startswith(PROBE_PREFIX):
                continue
            number += 1
            if entry.key.startswith("datasets/") and entry.key.split("/")[2:3] == ["images"]:
                images.append(entry.key)
            if number >= COUNTED_AT_MOST:
                break
    return number, images


async def _present(objects: ObjectStore, bucket: str, keys: Sequence[str]) -> int:
    async def is_there(key: str) -> bool:
        try:
            await objects.head(bucket, key)
        except NotFound:
            return False
        return True

    found = 0
    for start in range(0, len(keys), _HEADS_AT_ONCE):
        found += sum(await asyncio.gather(*map(is_there, keys[start : start + _HEADS_AT_ONCE])))
    return found
