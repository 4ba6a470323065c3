"""The sweep for orphaned objects: those that a crash left without a row, and uploads in parts that nobody finished.

Once a day by the job queue, and by `labeler storage sweep`. It knows the keys that this system writes and touches
nothing else; backups are never touched. What is younger than the minimum age may belong to a request that is under way.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby

import structlog

from labeler_api.context import Services
from labeler_api.db.pool import Database
from labeler_api.errors import NotFound
from labeler_api.objects import ObjectInfo, ObjectStore
from labeler_api.settings import Settings
from labeler_api.storage import store_sweep

KIND = "storage.sweep"
FIRST_AFTER = timedelta(hours=1)  # not in the middle of a start, which may follow a crash
MINIMUM_AGE = timedelta(hours=24)  # no request lives as long: what was put before has its row or never gets one

_EVERY = timedelta(hours=24)
_EXPORT_AGE = timedelta(days=8)  # exports have no row; their links live for seven days
_EXPORT = "export_"  # how the folder of an export is named, in the place of a version number
_BATCH = 10_000  # keys a look at the database: each reads the rows of the dataset once
_DELETED_AT_ONCE = 1000
_EXAMPLES = 20
_UNFINISHED = "begun in parts and never finished"
_NO_PROJECT = "its project is deleted"

log = structlog.get_logger("labeler_api.storage")


@dataclass(slots=True)
class Orphan:
    """An object that nothing refers to; `sure` when nothing can begin to refer to it any more."""

    bucket: str
    entry: ObjectInfo
    reason: str
    sure: bool


@dataclass(slots=True)
class Found:
    """Orphans of one reason."""

    objects: int = 0
    size_bytes: int = 0


@dataclass(slots=True)
class SweepReport:
    """What a sweep saw, found and removed."""

    examined: int = 0
    removed: int = 0
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
    """Sweep, as a job; return when to do it again."""
    report = await Sweep(services.db, services.objects, services.settings).run(remove=True)
    found = {reason: found.objects for reason, found in report.found.items()}
    log.info("swept", examined=report.examined, removed=report.removed, found=found)
    return _EVERY


class Sweep:
    """One walk through both buckets. Raises Unavailable when the store or the database is away."""

    def __init__(
        self, db: Database, objects: ObjectStore, settings: Settings, *, minimum_age: timedelta = MINIMUM_AGE
    ) -> None:
        self._db, self._objects = db, objects
        self._datasets, self._exports = settings.s3_bucket_datasets, settings.s3_bucket_annotations
        self._minimum_age = minimum_age
        self._report = SweepReport()

    async def run(self, *, remove: bool) -> SweepReport:
        """Walk, and remove what is orphaned; without `remove`, only tell."""
        for judge in (self._judge_datasets, self._judge_exports):
            async with aclosing(judge()) as batches:
                async for orphans in batches:
                    for orphan in orphans:
                        self._report.note(orphan.reason, orphan.bucket, orphan.entry.key, orphan.entry.size)
                    if remove:
                        await self._remove(orphans)
        for bucket, prefix in self._places():
            await self._give_up_uploads(bucket, prefix, remove=remove)
        return self._report

    def _places(self) -> list[tuple[str, str]]:
        return [(self._datasets, "datasets/"), (self._datasets, "backups/"), (self._exports, "exports/")]

    async def _judge_datasets(self) -> AsyncGenerator[list[Orphan], None]:
        async for batch in self._batches(self._datasets, "datasets/"):
            for dataset_id, entries in groupby(batch, lambda entry: entry.key.split("/")[1]):
                yield await self._judge_dataset(dataset_id, list(entries))

    async def _judge_dataset(self, dataset_id: str, entries: list[ObjectInfo]) -> list[Orphan]:
        async with self._db.read() as connection:
            held = await store_sweep.held(connection, dataset_id, [entry.key for entry in entries])
            used = bool(held) or await store_sweep.folder_in_use(connection, dataset_id)
        if not used:
            return [Orphan(self._datasets, entry, "its dataset is deleted", sure=True) for entry in entries]
        folder = f"datasets/{dataset_id}/"
        reasons = {"images": "no image has it", "thumbnails": "no image has it as its thumbnail"}
        orphans = [
            Orphan(self._datasets, entry, reasons[kind], sure=False)
            for entry in entries
            if (kind := entry.key.removeprefix(folder).partition("/")[0]) in reasons and entry.key not in held
        ]
        return await self._without_those_of_others(orphans) if orphans else []

    async def _without_those_of_others(self, orphans: list[Orphan]) -> list[Orphan]:
        async with self._db.read() as connection:
            held = await store_sweep.held_anywhere(connection, [orphan.entry.key for orphan in orphans])
        return [orphan for orphan in orphans if orphan.entry.key not in held]

    async def _judge_exports(self) -> AsyncGenerator[list[Orphan], None]:
        async for batch in self._batches(self._exports, "exports/"):
            places = {entry.key: place for entry in batch if (place := _place(entry.key)) is not None}
            if not places:
                continue
            async with self._db.read() as connection:
                projects = await store_sweep.projects(connection, list({place[0] for place in places.values()}))
                versions = await store_sweep.versions(connection, list(set(places.values())))
            yield [
                Orphan(self._exports, entry, reason, sure=reason == _NO_PROJECT)
                for entry in batch
                if entry.key in places and (reason := self._of_export(entry, places[entry.key], projects, versions))
            ]

    def _of_export(
        self, entry: ObjectInfo, place: tuple[str, str, str], projects: set[str], versions: set[tuple[str, str, str]]
    ) -> str | None:
        if place[0] not in projects:
            return _NO_PROJECT
        if place in versions:
            return None
        if place[2].startswith(_EXPORT):
            return "the link to this export has expired" if _age(entry) > _EXPORT_AGE else None
        return "no version has it"

    async def _batches(self, bucket: str, prefix: str) -> AsyncIterator[list[ObjectInfo]]:
        """Yield what is old enough to be judged, in the order of the keys."""
        batch: list[ObjectInfo] = []
        async with aclosing(self._objects.list(bucket, prefix)) as entries:
            async for entry in entries:
                self._report.examined += 1
                if _age(entry) >= self._minimum_age:
                    batch.append(entry)
                if len(batch) == _BATCH:
                    yield batch
                    batch = []
        if batch:
            yield batch

    async def _remove(self, orphans: Iterable[Orphan]) -> None:
        keys: dict[str, list[str]] = {}
        for orphan in orphans:
            # Looked at once more: an upload may have put it anew a moment ago, and is about to write its row.
            if orphan.sure or await self._unchanged(orphan):
                keys.setdefault(orphan.bucket, []).append(orphan.entry.key)
                if len(keys[orphan.bucket]) == _DELETED_AT_ONCE:
                    await self._delete(orphan.bucket, keys.pop(orphan.bucket))
        for bucket, rest in keys.items():
            await self._delete(bucket, rest)

    async def _unchanged(self, orphan: Orphan) -> bool:
        try:
            now = await self._objects.head(orphan.bucket, orphan.entry.key)
        except NotFound:
            return False
        return now.etag == orphan.entry.etag and _age(now) >= self._minimum_age

    async def _delete(self, bucket: str, keys: list[str]) -> None:
        await self._objects.delete_many(bucket, keys)
        self._report.removed += len(keys)

    async def _give_up_uploads(self, bucket: str, prefix: str, *, remove: bool) -> None:
        async with aclosing(self._objects.unfinished(bucket, prefix)) as uploads:
            old = [upload async for upload in uploads if datetime.now(UTC) - upload.begun_at >= self._minimum_age]
        for upload in old:
            self._report.note(_UNFINISHED, bucket, upload.key)
            if remove:
                await self._objects.give_up(bucket, upload)
                self._report.removed += 1


def _place(key: str) -> tuple[str, str, str] | None:
    """Take `exports/{project}/{task}/{version}/{file}` apart; a version may have slashes. None for another form."""
    parts = key.split("/")
    if len(parts) < 5:  # noqa: PLR2004 - the five of the form above
        return None
    return parts[1], parts[2], "/".join(parts[3:-1])


def _age(entry: ObjectInfo) -> timedelta:
    return datetime.now(UTC) - entry.last_modified
