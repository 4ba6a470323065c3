"""The backup before a deletion: written, read back and compared, before anything goes.

Two files, of one and the same state of the database: the DICE file of the project, every task and every draft in it,
for people and their tools; and every row of the dataset as JSON lines, gzipped, from which the rows can be put back
exactly (docs/deletion.md). The images are not in it.
"""

import asyncio
import zlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from labeler_api.context import Call
from labeler_api.db.pool import Row, Snapshot
from labeler_api.deletion.backup import store
from labeler_api.deletion.backup.project_as_dice import AllTasks, dice_header
from labeler_api.deletion.backup.rows import Lines, row_lines
from labeler_api.deletion.datasets.schemas import BackupFile
from labeler_api.errors import NotFound, Unavailable
from labeler_api.members.authorization.service import not_found
from labeler_api.versions.files.file_writing import gathered
from labeler_api.versions.formats import DICE

_GZIP = 31  # zlib's number for the gzip format with its largest window
_UNZIPPED_BYTES = 1024 * 1024  # unpacked at once: a few milliseconds of the event loop


@dataclass(slots=True)
class Backup:
    """A verified backup, the state that it is of, and the moment in its names."""

    stamp: str
    revision: int | None
    images_revision: int
    dice_keys: dict[str, str] = field(default_factory=dict)
    files: list[BackupFile] = field(default_factory=list)


async def write(call: Call, dataset_id: str, earlier: Backup | None = None) -> Backup:
    """Write and verify a backup, in the place of an earlier one. Raises Unavailable, with a code of its own."""
    try:
        async with call.db.snapshot() as snapshot:
            row = await store.header(snapshot, dataset_id)
            if row is None:
                raise not_found()
            stamp = earlier.stamp if earlier is not None else _stamp(row["now"])
            made = Backup(stamp, row["revision"], row["images_revision"])
            if row["project_id"] is not None:
                made.files.append(await _write_dice(call, snapshot, dataset_id, row, made))
            made.files.append(await _write_rows(call, snapshot, dataset_id, row, made))
        for file in made.files:
            await _verify(call, file)
    except Unavailable as error:
        raise Unavailable(
            f"The backup could not be made, so nothing was deleted: {error.detail}",
            code="backup_failed",
            retry_after=error.retry_after,
        ) from error
    return made


async def _write_dice(call: Call, snapshot: Snapshot, dataset_id: str, row: Row, made: Backup) -> BackupFile:
    project_id: str = row["project_id"]
    content = await store.content(snapshot, project_id)
    users = await call.directory.get_many(content["user_ids"], timeout=call.remaining_seconds)
    emails = {user_id: user.email for user_id, user in users.items()}
    source = AllTasks(snapshot, project_id, dataset_id, dice_header(dataset_id, row, content, emails))
    key = f"backups/{dataset_id}/{project_id}/backup_{made.stamp}.json"
    made.dice_keys[project_id] = key
    file = await _store(call, key, DICE.content_type, DICE.render(source), {})
    _require_count("annotations", content["annotations"], source.yielded)
    file.rows["annotations"] = source.yielded
    return file


async def _write_rows(call: Call, snapshot: Snapshot, dataset_id: str, row: Row, made: Backup) -> BackupFile:
    counts = await store.counts(snapshot, dataset_id)
    head = {"dataset_id": dataset_id, "made_at": row["now"], "revision": row["revision"], "rows": counts}
    key = f"backups/{dataset_id}/backup_{made.stamp}.rows.jsonl.gz"
    return await _store(call, key, "application/gzip", _zipped(row_lines(snapshot, dataset_id, head)), counts)


async def _store(
    call: Call, key: str, content_type: str, pieces: AsyncGenerator[bytes, None], rows: dict[str, int]
) -> BackupFile:
    digest, bucket = sha256(), call.settings.s3_bucket_datasets
    async with (
        call.objects.upload_stream(bucket, key, content_type) as upload,
        aclosing(gathered(pieces)) as chunks,
    ):
        async for chunk in chunks:
            digest.update(chunk)
            await upload.write(chunk)
            await asyncio.sleep(0)  # neither a full cursor buffer nor a part that is not full yet lets others run
    return BackupFile(key=key, size_bytes=upload.size, sha256=digest.hexdigest(), rows=rows)


async def _zipped(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    pack = zlib.compressobj(wbits=_GZIP)
    async with aclosing(gathered(pieces)) as chunks:
        async for chunk in chunks:
            yield pack.compress(chunk)
    yield pack.flush()


def _unzipped(unpack: "zlib._Decompress", chunk: bytes) -> Iterator[bytes]:
    """Unpack piece by piece: a kilobyte of what repeats itself may be a megabyte."""
    while chunk:
        yield unpack.decompress(chunk, _UNZIPPED_BYTES)
        chunk = unpack.unconsumed_tail


async def _verify(call: Call, file: BackupFile) -> None:
    """Read a file back. Raises Unavailable when it is not what was written, or does not hold what it should."""
    digest, lines = sha256(), Lines() if file.key.endswith(".gz") else None
    unpack = zlib.decompressobj(wbits=_GZIP)
    try:
        async with call.objects.open(call.settings.s3_bucket_datasets, file.key) as stream:
            async for chunk in stream.iter_chunks():
                digest.update(chunk)
                if lines is not None:
                    for data in _unzipped(unpack, chunk):
                        lines.feed(data)
                        await asyncio.sleep(0)
    except (NotFound, zlib.error) as error:
        raise _broken(f"{file.key} cannot be read back") from error
    if digest.hexdigest() != file.sha256:
        raise _broken(f"{file.key} reads back as something else than was written")
    if lines is not None:
        if not unpack.eof:
            raise _broken(f"{file.key} ends in the middle")
        for table, number in file.rows.items():
            _require_count(table, number, lines.counts[table])


def _require_count(table: str, wanted: int, found: int) -> None:
    if wanted != found:
        raise _broken(f"it holds {found} rows of {table} in place of {wanted}")


def _broken(text: str) -> Unavailable:
    return Unavailable(text + ".", code="backup_failed")


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y%m%d_%H%M%S")
