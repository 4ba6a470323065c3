"""How many objects, and how many bytes, the deletion of a dataset takes away."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from labeler_api.context import Call
from labeler_api.db.pool import Row
from labeler_api.deletion.datasets import store
from labeler_api.errors import Unavailable

_LIST_SECONDS = 10.0  # some 300 000 objects; a dialog does not wait for more, and an estimate serves as well

log = structlog.get_logger("labeler_api.deletion")


@dataclass(slots=True)
class StoredFiles:
    """Counts of objects by what they are; thumbnails are among the dataset's files and have no count of their own."""

    dataset_files: int = 0
    export_files: int = 0
    images: int = 0
    annotations: int = 0
    size_bytes: int = 0
    estimated: bool = False

    @property
    def megabytes(self) -> float:
        """The size in binary megabytes, to two decimals."""
        return round(self.size_bytes / 1024**2, 2)


async def stored_files(call: Call, row: Row, *, most_images: int | None = None) -> StoredFiles:
    """Count what lies in both buckets; where the store does not answer in time, what the database knows of it.

    With more images than `most_images` the store is not asked. A deletion must not depend on a store that is away: the
    purge waits for it, the decision does not.
    """
    if most_images is not None and row["images"] > most_images:
        return await _known(call, row)
    try:
        async with asyncio.timeout(_LIST_SECONDS):
            return await _listed(call, row["dataset_id"], row["project_id"])
    except (Unavailable, TimeoutError) as error:
        log.warning("the store was not listed", dataset_id=row["dataset_id"], reason=repr(error))
        return await _known(call, row)


async def _listed(call: Call, dataset_id: str, project_id: str | None) -> StoredFiles:
    files, settings = StoredFiles(), call.settings
    folder = f"datasets/{dataset_id}/"
    async with aclosing(call.objects.list(settings.s3_bucket_datasets, folder)) as entries:
        async for entry in entries:
            files.dataset_files += 1
            files.size_bytes += entry.size
            kind, slash, _ = entry.key.removeprefix(folder).partition("/")
            files.images += bool(slash) and kind == "images"
            files.annotations += not slash and kind.startswith("annotations") and kind.endswith(".json")
    if project_id is None:
        return files
    async with aclosing(call.objects.list(settings.s3_bucket_annotations, f"exports/{project_id}/")) as entries:
        async for entry in entries:
            files.export_files += 1
            files.size_bytes += entry.size
    return files


async def _known(call: Call, row: Row) -> StoredFiles:
    async with call.db.read() as connection:
        found = await store.image_files(connection, row["dataset_id"])
    made_of_them, image_bytes = (found["made_of_them"], found["image_bytes"]) if found is not None else (0, 0)
    return StoredFiles(
        dataset_files=row["images"] + made_of_them,
        export_files=row["versions"],
        images=row["images"],
        size_bytes=image_bytes + int(row["version_bytes"]),
        estimated=True,
    )
