"""The sweep for orphaned objects: those that a crash left without a row, and uploads in parts that nobody finished.

Once a day by the job queue, and by `labeler storage sweep`. It deletes in two steps: what it finds is put on a list in
the Labeler DB, and goes only when a sweep at least seven days later finds it again, unchanged. It never
removes more than a hundredth of a bucket by itself: a crash does not leave so much, but a wrong database or bucket
does. Nothing is even listed in buckets that are not tied to this database (labeler_api.object_store.bucket_ownership).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog

from labeler_api.context import Services
from labeler_api.db.pool import Database, Row
from labeler_api.errors import NotFound
from labeler_api.object_store.objects import ObjectInfo, ObjectStore, UnfinishedUpload
from labeler_api.settings import Settings
from labeler_api.storage.orphans import store
from labeler_api.storage.orphans.orphan_finder import Orphan, OrphanFinder, age
from labeler_api.telemetry.metrics import Metrics

KIND = "storage.sweep"
FIRST_AFTER = timedelta(hours=1)  # not in the middle of a start, which may follow a crash
MINIMUM_AGE = timedelta(hours=24)  # no request lives as long: what was put before has its row or never gets one
WAITING = timedelta(days=7)  # between finding and removing: a wrong database is noticed by people within a week
SHARE = 100  # one object in so many may go without a person's word: crashes leave far less, mistakes far more
ALWAYS = 100  # of a small bucket so many may, since a hundredth of it would be nothing
LISTED_AT_MOST = 100_000  # rows, some 30 MB; no crash leaves more, so the sweep stops there

_EVERY = timedelta(hours=24)
_BATCH = 10_000  # keys of one query: each query reads the rows of the dataset once
_DELETED_AT_ONCE = 1000
_LOOKS_AT_ONCE = 16
_EXAMPLES = 20
_UNFINISHED = "begun in parts and never finished"

T = TypeVar("T")

log = structlog.get_logger("labeler_api.storage")


@dataclass(slots=True)
class Found:
    """Orphans of one reason."""

    objects: int = 0
    size_bytes: int = 0


@dataclass(slots=True)
class SweepReport:
    """What a sweep saw, put on its list, and removed.

    `listed` are new on the list, `waiting` are on it and too new to go, the first of them until `next_at`; `due` may go
    by their time. `stopped` says why nothing was removed, though something is due. `unlisted` had no room on the list.
    """

    examined: int = 0
    removed: int = 0
    listed: int = 0
    unlisted: int = 0
    waiting: int = 0
    next_at: datetime | None = None
    due: int = 0
    stopped: str | None = None
    found: dict[str, Found] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)

    def note(self, reason: str, bucket: str, key: str, size_bytes: int = 0) -> None:
        """Count an orphan, and keep the first few by name."""
        found = self.found.setdefault(reason, Found())
        found.objects += 1
        found.size_bytes += size_bytes
        if len(self.examples) < _EXAMPLES:
            self.examples.append(f"{bucket}/{key}: {reason}")


async def handle(services: Services, _payload: bytes) -> timedelta:
    """Sweep, as a job; return when to do it again. Raises Unavailable where the buckets are not this database's."""
    metrics = services.instruments.metrics
    report = await Sweep(services.db, services.objects, services.settings, metrics=metrics).run(remove=True)
    found = {reason: found.objects for reason, found in report.found.items()}
    numbers = {name: getattr(report, name) for name in ("examined", "removed", "listed", "waiting", "due")}
    log.info("swept", found=found, **numbers)
    return _EVERY


class Sweep:
    """One walk through both buckets. Raises Unavailable when the store or the database is away."""

    def __init__(
        self,
        db: Database,
        objects: ObjectStore,
        settings: Settings,
        *,
        minimum_age: timedelta = MINIMUM_AGE,
        metrics: Metrics | None = None,
    ) -> None:
        self._db, self._objects, self._buckets = db, objects, settings.buckets
        self._judge = OrphanFinder(db, settings)
        self._minimum_age = minimum_age
        self._metrics = metrics
        self._report = SweepReport()
        self._examined = dict.fromkeys(self._buckets, 0)
        self._room = 0
        self._begun_at = datetime.now(UTC)  # the database's time replaces it where something is noted

    async def run(self, *, remove: bool, allowed: int | None = None) -> SweepReport:
        """Walk, list what is orphaned, and remove what was listed long enough ago; without `remove`, only tell.

        `allowed` is a person's word for so many: it counts only when exactly so many are due.
        """
        if not remove:
            await self._walk(remove=False)
            return self._report
        for bucket in self._buckets:
            await self._objects.require_deletable(bucket)
        async with self._db.read() as connection:
            self._begun_at, listed = await store.begin(connection)
        self._room = max(0, LISTED_AT_MOST - listed)
        judged_until = self._begun_at - self._minimum_age
        await self._walk(remove=True)
        async with self._db.begin() as tx:  # after the whole walk: what it did not come by is not known to be in use
            await store.forget(tx, self._begun_at, judged_until)
        await self._remove(allowed)
        self._count()
        return self._report

    async def _walk(self, *, remove: bool) -> None:
        datasets, exports = self._buckets
        for bucket, prefix in ((datasets, "datasets/"), (exports, "exports/")):
            async with aclosing(self._batches(bucket, prefix)) as batches:
                async for batch in batches:
                    async with aclosing(self._judge.orphans(bucket, batch)) as judged:
                        async for orphans in judged:
                            await self._note(bucket, orphans, remove=remove)
        for bucket, prefix in ((datasets, "datasets/"), (datasets, "backups/"), (exports, "exports/")):
            await self._note_uploads(bucket, prefix, remove=remove)

    async def _batches(self, bucket: str, prefix: str) -> AsyncGenerator[list[ObjectInfo], None]:
        """Yield what is old enough to be judged, in the order of the keys."""
        batch: list[ObjectInfo] = []
        async with aclosing(self._objects.list(bucket, prefix)) as entries:
            async for entry in entries:
                self._report.examined += 1
                self._examined[bucket] += 1
                if age(entry) >= self._minimum_age:
                    batch.append(entry)
                if len(batch) == _BATCH:
                    yield batch
                    batch = []
        if batch:
            yield batch

    async def _note(self, bucket: str, orphans: Sequence[Orphan], *, remove: bool) -> None:
        for orphan in orphans:
            self._report.note(orphan.reason, bucket, orphan.entry.key, orphan.entry.size)
        if remove:
            entries = ((orphan.entry, orphan.reason) for orphan in orphans)
            await self._list(bucket, [(e.key, e.etag, e.last_modified, False, e.size, why) for e, why in entries])

    async def _note_uploads(self, bucket: str, prefix: str, *, remove: bool) -> None:
        async with aclosing(self._objects.unfinished(bucket, prefix)) as uploads:
            old = [upload async for upload in uploads if datetime.now(UTC) - upload.begun_at >= self._minimum_age]
        for upload in old:
            self._report.note(_UNFINISHED, bucket, upload.key)
        if remove:
            await self._list(bucket, [(u.key, u.upload_id, u.begun_at, True, 0, _UNFINISHED) for u in old])

    async def _list(self, bucket: str, rows: Sequence[tuple[object, ...]]) -> None:
        for some in _parts(rows, _DELETED_AT_ONCE):
            async with self._db.begin() as tx:
                again, fresh = await store.note(tx, bucket, some, self._room)
            self._room -= fresh
            self._report.listed += fresh
            self._report.unlisted += len(some) - again - fresh

    async def _remove(self, allowed: int | None) -> None:
        async with self._db.read() as connection:
            due = await store.due_counts(connection, self._begun_at, WAITING)
            self._report.waiting, self._report.next_at = await store.waiting(connection, self._begun_at, WAITING)
        self._report.due = sum(due.values())
        self._report.stopped = self._why_not(due, allowed)
        if self._report.stopped is not None:
            log.error("the sweep stopped", due=due, examined=self._examined, reason=self._report.stopped)
            return
        for bucket in due:
            await self._remove_objects(bucket)
            await self._give_up_uploads(bucket)

    def _why_not(self, due: dict[str, int], allowed: int | None) -> str | None:
        """Say why a person has to decide; None when nobody has to, or has decided."""
        total = sum(due.values())
        if total == 0:
            return None
        if allowed is not None:
            if allowed == total:
                return None
            return f"{total:,} objects are due, and not {allowed:,}: give the number of now, --yes-remove {total}."
        for bucket, number in due.items():
            bound = max(ALWAYS, self._examined[bucket] // SHARE)
            if number > bound:
                return (
                    f"{number:,} of {self._examined[bucket]:,} objects of {bucket} are due, more than the {bound:,} "
                    f"that may go by themselves. If it is right: labeler storage sweep --remove --yes-remove {total}"
                )
        if self._report.unlisted:
            return (
                f"{self._report.unlisted:,} orphans have no room on the list of {LISTED_AT_MOST:,}: so many are no "
                f"accident. If it is right: labeler storage sweep --remove --yes-remove {total}"
            )
        return None

    async def _remove_objects(self, bucket: str) -> None:
        async for rows in self._due(bucket, unfinished=False):
            entries = [ObjectInfo(row["key"], row["size"], row["version"], row["last_modified"]) for row in rows]
            # Judged once more: the walk may have taken hours, and somebody may have put a row back meanwhile.
            async with aclosing(self._judge.orphans(bucket, entries)) as judged:
                orphans = [orphan.entry async for some in judged for orphan in some]
            keys = await self._unchanged(bucket, orphans)
            await self._objects.delete_many(bucket, keys)
            self._report.removed += len(keys)
            await self._drop(bucket, rows)

    async def _give_up_uploads(self, bucket: str) -> None:
        async for rows in self._due(bucket, unfinished=True):
            for row in rows:
                await self._objects.give_up(bucket, UnfinishedUpload(row["key"], row["version"], row["last_modified"]))
                self._report.removed += 1
            await self._drop(bucket, rows)

    async def _due(self, bucket: str, *, unfinished: bool) -> AsyncIterator[list[Row]]:
        """Yield what may go. The list is read each time, because what was yielded leaves it."""
        while True:
            async with self._db.read() as connection:
                rows = await store.due(
                    connection, self._begun_at, WAITING, bucket, unfinished=unfinished, at_most=_DELETED_AT_ONCE
                )
            if not rows:
                return
            yield rows

    async def _drop(self, bucket: str, rows: Sequence[Row]) -> None:
        async with self._db.begin() as tx:
            await store.drop(tx, bucket, rows)

    async def _unchanged(self, bucket: str, entries: Sequence[ObjectInfo]) -> list[str]:
        keys: list[str] = []
        for some in _parts(entries, _LOOKS_AT_ONCE):
            same = await asyncio.gather(*(self._is_unchanged(bucket, entry) for entry in some))
            keys += [entry.key for entry, is_same in zip(some, same, strict=True) if is_same]
        return keys

    async def _is_unchanged(self, bucket: str, entry: ObjectInfo) -> bool:
        """Whether the object is the one on the list: an upload may have written it again, and its row follows."""
        try:
            now = await self._objects.head(bucket, entry.key)
        except NotFound:
            return False
        # HEAD gives an object's time in whole seconds, a listing in smaller parts.
        return now.etag == entry.etag and abs(now.last_modified - entry.last_modified) < timedelta(seconds=1)

    def _count(self) -> None:
        if self._metrics is not None:
            self._metrics.swept(self._report.listed, self._report.removed, stopped=self._report.stopped is not None)


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
