"""Which objects of the buckets nothing refers to. It knows the keys that this system writes, and ignores all others.

Backups are no orphans. A row in quarantine counts like a row: it needs its objects when it is mended and put back.
"""

from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from labeler_api.db.pool import Database
from labeler_api.object_store.objects import ObjectInfo
from labeler_api.settings import Settings
from labeler_api.storage.orphans import store
from labeler_api.storage.quarantine import store as quarantine_store
from labeler_api.versions.files.naming import EXPORT_KEPT

_EXPORT = "export_"  # how the folder of an export is named, in the place of a version number
_NO_DATASET = "its dataset is deleted"
_NO_PROJECT = "its project is deleted"
_REASONS = {
    "images": "no image has it",
    "thumbnails": "no image has it as its thumbnail",
    "renditions": "no image has it as its rendition",
}


@dataclass(frozen=True, slots=True)
class Orphan:
    """An object that nothing refers to, and why that is so."""

    bucket: str
    entry: ObjectInfo
    reason: str


class OrphanFinder:
    """Asks the database about objects, some thousand at a time, in the order of their keys."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._datasets, self._exports = settings.buckets

    async def orphans(self, bucket: str, entries: Sequence[ObjectInfo]) -> AsyncGenerator[list[Orphan], None]:
        """Yield those of the objects of a bucket that are orphans."""
        if bucket == self._exports:
            yield await self._of_exports([entry for entry in entries if entry.key.startswith("exports/")])
            return
        ours = (entry for entry in entries if entry.key.startswith("datasets/"))
        for dataset_id, group in groupby(ours, lambda entry: entry.key.split("/")[1]):
            yield await self._of_dataset(dataset_id, list(group))

    async def _of_dataset(self, dataset_id: str, entries: list[ObjectInfo]) -> list[Orphan]:
        async with self._db.read() as connection:
            held = await store.held(connection, dataset_id, [entry.key for entry in entries])
            used = bool(held) or await store.folder_in_use(connection, dataset_id)
            if not used and await quarantine_store.folder(connection, dataset_id):
                return []
        if not used:
            return [Orphan(self._datasets, entry, _NO_DATASET) for entry in entries]
        orphans = [
            Orphan(self._datasets, entry, _REASONS[kind])
            for entry in entries
            if (kind := _kind(entry.key)) in _REASONS and entry.key not in held
        ]
        return await self._without_those_of_others(orphans) if orphans else []

    async def _without_those_of_others(self, orphans: list[Orphan]) -> list[Orphan]:
        keys = [orphan.entry.key for orphan in orphans]
        images = {key: _image_ids(key) for key in keys}
        async with self._db.read() as connection:
            held = await store.held_anywhere(connection, keys)
            held |= await quarantine_store.keys(connection, keys)
            named = await quarantine_store.images(connection, [name for names in images.values() for name in names])
        return [
            orphan for orphan in orphans if orphan.entry.key not in held and named.isdisjoint(images[orphan.entry.key])
        ]

    async def _of_exports(self, entries: Iterable[ObjectInfo]) -> list[Orphan]:
        places = {entry.key: (entry, place) for entry in entries if (place := _place(entry.key)) is not None}
        if not places:
            return []
        wanted = list({place for _, place in places.values()})
        async with self._db.read() as connection:
            projects = await store.projects(connection, list({place[0] for place in wanted}))
            versions = await store.versions(connection, wanted)
            orphans = [
                Orphan(self._exports, entry, reason)
                for entry, place in places.values()
                if (reason := _of_export(entry, place, projects, versions)) is not None
            ]
            if not orphans:
                return []
            kept = await quarantine_store.projects(connection, list({places[o.entry.key][1][0] for o in orphans}))
            versions = await quarantine_store.versions(connection, wanted)
            held = await quarantine_store.keys(connection, [orphan.entry.key for orphan in orphans])
        return [
            orphan
            for orphan in orphans
            if orphan.entry.key not in held
            and (place := places[orphan.entry.key][1]) not in versions
            and not (orphan.reason == _NO_PROJECT and place[0] in kept)
        ]


def age(entry: ObjectInfo) -> timedelta:
    """How long ago an object was written."""
    return datetime.now(UTC) - entry.last_modified


def _of_export(
    entry: ObjectInfo, place: tuple[str, str, str], projects: set[str], versions: set[tuple[str, str, str]]
) -> str | None:
    if place[0] not in projects:
        return _NO_PROJECT
    if place in versions:
        return None
    if place[2].startswith(_EXPORT):
        return "the link to this export has expired" if age(entry) > EXPORT_KEPT else None
    return "no version has it"


def _kind(key: str) -> str:
    """The folder of a dataset's folder that the key is in: images, thumbnails …"""
    parts = key.split("/", 3)
    return parts[2] if len(parts) > 3 else ""  # noqa: PLR2004 - datasets, the dataset, the kind, and the rest


def _image_ids(key: str) -> tuple[str, str]:
    """The ids that an image of this key may have: its path, without the last extension, or with it, as of old."""
    path = key.split("/", 3)[3]
    if _kind(key) == "renditions":  # named like the image's object, and an extension more
        path = path.rpartition(".")[0]
    stem, dot, extension = path.rpartition(".")
    return path, stem if dot and "/" not in extension else path


def _place(key: str) -> tuple[str, str, str] | None:
    """Take `exports/{project}/{task}/{version}/{file}` apart; a version may have slashes. None for another form."""
    parts = key.split("/")
    if len(parts) < 5:  # noqa: PLR2004 - the five of the form above
        return None
    return parts[1], parts[2], "/".join(parts[3:-1])
