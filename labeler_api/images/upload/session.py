"""What happens to the files of one upload, from a temporary file to objects and rows.

Objects are written first, under keys of their own, then their rows, a hundred at a time. The transaction that checks
the role and meets the fence of maintenance mode turns a row from its old object to the new one: whatever ends an upload
leaves each image as it was or as it is sent, whole. The old object is removed later, and so is what never got a row
(labeler_api.images.removal); what a crash leaves without a row is the sweep's.

Rows are written in the order of the form, whichever picture is decoded first: of two files that could have the same id
the earlier one gets it, and the answer names the images as they were sent.

Rows wait until the whole form has come, up to a thousand of them: an annotation file, which browsers send last, is
judged against the images that it comes with, and when it is refused nothing is stored.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import structlog

from labeler_api.context import Call
from labeler_api.db.pool import Row, WriteTransaction
from labeler_api.errors import AppError, RetryTransaction, Unavailable
from labeler_api.http.forms.multipart import Spool
from labeler_api.idempotency.streamed_uploads import StreamedFiles
from labeler_api.images import removal
from labeler_api.images.checksums.checksum import Checksum
from labeler_api.images.media import renditions
from labeler_api.images.paths import ImagePath, ObjectKeys, image_path
from labeler_api.images.pictures import rendition
from labeler_api.images.pictures.inspection import Picture, Rejected, inspect_picture
from labeler_api.images.upload import store
from labeler_api.images.upload.object_metadata import describe
from labeler_api.images.upload.rejections import Rejections
from labeler_api.images.upload.schemas import UploadedImage, UploadSummary
from labeler_api.images.upload.store import Stored
from labeler_api.members.authorization import service as members
from labeler_api.members.policy import ProjectLock, Role
from labeler_api.resilience.retry import retry_while_unavailable
from labeler_api.text.names import quoted
from labeler_api.tokens.signed_links import VERSION_CHARACTERS
from labeler_api.workers.decoders import DecodingFailed

_BATCH = 100  # rows of one transaction: a statement's cost is shared, and the project is not held for long
_WAITING_ROWS = 1000  # as many as a form has files by default, a megabyte; a crash loses no more than this
_WAITING_FILES = 2  # more than are decoded: they keep the cores busy while objects are sent
_MAX_ENTRIES = 50_000  # of all archives of a request: as many files as the frontend's wizard takes
_AWAY = 8  # pictures in a row that the store did not take, each tried four times: then the upload gives up
_TRIES = 3  # of a transaction that met a deadlock; an upload is too long to be asked for again

T = TypeVar("T")

log = structlog.get_logger("labeler_api.images")


class _DryRunOver(Exception):
    """Ends the transaction of a rehearsal, so that nothing of it is kept."""


class UploadSession:
    """Takes the files of one upload one by one and works on a few of them at once."""

    def __init__(self, call: Call, dataset_id: str, files: StreamedFiles | None) -> None:
        self._call = call
        self._files = files
        self.dataset_id = dataset_id
        self._bucket = call.settings.s3_bucket_datasets
        self._slots = asyncio.Semaphore(call.services.decoders.allowed.processes + _WAITING_FILES)
        self._working: dict[str, asyncio.Task[None]] = {}
        self._error: BaseException | None = None
        self._places: dict[str, int] = {}
        self._batch: dict[str, Stored] = {}
        self._unused: list[str] = []
        self._images: dict[str, UploadedImage] = {}
        self._predicted: dict[str, str | None] = {}
        self._not_taken_in_a_row = 0
        self._store_error: Unavailable | None = None
        self.rejections = Rejections()
        self.entries_left = _MAX_ENTRIES

    def path(self, filename: str) -> ImagePath:
        """Check a name. Raises FileRejected."""
        return image_path(filename, self.dataset_id)

    def reject(self, filename: str, reason: str, *, is_member: bool = False) -> None:
        """Note a file that is not taken."""
        self.rejections.add(filename, reason, is_member=is_member)

    async def take(self, path: ImagePath, spool: Spool, *, is_member: bool = False) -> None:
        """Start the work on a file, of the form or of an archive, when there is room for it; closes the file.

        Raises what went wrong before it.
        """
        try:
            await self._slots.acquire()
        except BaseException:
            spool.close()
            raise
        if (earlier := self._working.get(path.text)) is not None:
            await asyncio.wait({earlier})  # the same path twice in one request: the later one wins
        if self._error is not None:
            self._slots.release()
            spool.close()
            raise self._error
        self._places.setdefault(path.text, len(self._places))
        task = asyncio.create_task(self._store(path, spool, is_member=is_member))
        self._working[path.text] = task
        task.add_done_callback(partial(self._done, path.text, spool))
        if len(self._batch) >= _WAITING_ROWS:
            await self._slower_than(self._in_order()[:_BATCH][-1])
            await self._save()

    async def finish(self) -> None:
        """Wait for the work at hand: then it is known which rows there will be."""
        if self._working:
            await asyncio.wait(set(self._working.values()))

    async def dry_run(self, look: Callable[[WriteTransaction], Awaitable[T]]) -> T:
        """Let somebody see the dataset as it will be with the rows that wait, and take everything back."""
        found: list[T] = []
        for last in (False,) * (_TRIES - 1) + (True,):
            try:
                async with self._call.db.begin() as tx:
                    await members.authorize(tx, self._call, self.dataset_id, Role.ADMIN, ProjectLock.CHANGE)
                    self._predicted = await self._save_all(tx)
                    found.append(await look(tx))
                    raise _DryRunOver
            except _DryRunOver:
                break
            except RetryTransaction:
                if last:
                    raise
        return found[-1]

    async def _save_all(self, tx: WriteTransaction) -> dict[str, str | None]:
        waiting = self._in_order()
        ids: dict[str, str | None] = {}
        for start in range(0, len(waiting), _BATCH):
            images = waiting[start : start + _BATCH]
            rows = await store.save(tx, self.dataset_id, images)
            if rows is None:
                raise members.not_found()
            ids |= {image.path: row["id"] for row, image in zip(rows, images, strict=True)}
        return ids

    @property
    def ids_are_as_predicted(self) -> bool:
        """Whether the images got the ids of the rehearsal: somebody else may have come in between."""
        stored = {path: image.id for path, image in self._images.items()}
        return all(stored.get(path) == image_id for path, image_id in self._predicted.items())

    async def discard(self) -> None:
        """Give up the rows that wait, and have their objects removed."""
        keys = [*self._unused, *(key for one in self._batch.values() for key in one.keys)]
        self._batch, self._unused = {}, []
        async with self._call.db.begin() as tx:
            await removal.enqueue_removal(tx, keys)

    async def save_rest(self) -> None:
        """Wait for the work at hand and write the last rows: what is in the store by now is kept."""
        await self.finish()
        while self._batch:
            await self._save()
        if self._error is not None:
            raise self._error
        if not self._images and self._store_error is not None:
            raise self._store_error  # nothing is stored, and not for what was sent: the same request may succeed

    async def give_up_after(self, seconds: float) -> None:
        """Let the work at hand end by itself, but not longer than so."""
        if self._working:
            await asyncio.wait(set(self._working.values()), timeout=seconds)
        await self.cancel()

    async def cancel(self) -> None:
        """Give up the work at hand."""
        working = set(self._working.values())
        for task in working:
            task.cancel()
        if working:
            await asyncio.wait(working)

    @property
    def waiting(self) -> int:
        """How many images wait for their rows."""
        return len(self._batch)

    @property
    def stored(self) -> int:
        """How many images have their rows."""
        return len(self._images)

    def summary(self) -> UploadSummary:
        """What became of the upload so far."""
        images = list(self._images.values())
        folders = Counter(folder for path in self._images if (folder := path.rpartition("/")[0]))
        return UploadSummary(
            images_uploaded=len(images),
            annotations_imported=0,
            storage_bytes_used=sum(image.size for image in images),
            folder_structure=dict(folders),
            failed=self.rejections.first,
            failed_total=self.rejections.total,
            images=images,
        )

    def _done(self, path: str, spool: Spool, task: "asyncio.Task[None]") -> None:
        del self._working[path]
        spool.close()
        self._slots.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = self._error or error

    async def _store(self, path: ImagePath, spool: Spool, *, is_member: bool) -> None:
        picture = await self._picture(spool)
        if isinstance(picture, Rejected):
            self.reject(path.text, picture.reason, is_member=is_member)
            return
        shown = await self._rendition(path, picture, spool)
        try:
            stored = _stored(self.dataset_id, path, spool.size, picture, shown=shown is not None)
            if not await self._put(stored, picture, spool, shown):
                return
        finally:
            if shown is not None:
                shown.close()
        if (earlier := self._batch.get(path.text)) is not None:
            self._unused += earlier.keys
        self._batch[path.text] = stored

    async def _picture(self, spool: Spool) -> Picture | Rejected:
        max_pixels = self._call.settings.max_image_pixels
        decoders = self._call.services.decoders
        try:
            return await decoders.run(self._call.user_id, inspect_picture, spool.file, spool.size, max_pixels)
        except DecodingFailed as failure:
            return Rejected(str(failure))
        except AppError:  # no process can be started, and the next picture has none either
            raise
        except Exception:  # a fault of ours, at this picture: it is no reason to give up the others
            log.exception("a picture could not be looked at")
            return Rejected("it cannot be decoded: the server met a fault of its own at it")

    async def _rendition(self, path: ImagePath, picture: Picture, spool: Spool) -> Spool | None:
        """What browsers are shown instead of the picture; None when they draw it, or when none can be made of it."""
        if picture.content_type not in rendition.NOT_DRAWN:
            return None
        return await renditions.rendered(self._call, self._call.user_id, spool, path.text)

    async def _put(self, stored: Stored, picture: Picture, spool: Spool, shown: Spool | None) -> bool:
        """Put all of its objects; False, with the picture refused, when the store does not take them.

        Raises Unavailable when it has taken none of the last few pictures either.
        """
        put_file = partial(renditions.put_file, self._call)
        put = partial(self._call.objects.put, self._bucket, stored.thumbnail_key, picture.thumbnail, "image/jpeg")
        try:
            await retry_while_unavailable(put)
            if stored.rendition_key is not None and shown is not None:
                key = stored.rendition_key
                await retry_while_unavailable(partial(put_file, key, shown, rendition.CONTENT_TYPE, describe(stored)))
            key, content_type = stored.s3_key, stored.content_type
            await retry_while_unavailable(partial(put_file, key, spool, content_type, describe(stored)))
        except Unavailable as error:
            self._store_error = error
            self._not_taken_in_a_row += 1
            if self._not_taken_in_a_row >= _AWAY:
                raise
            self.reject(stored.path, "the object store did not take it; send it again")
            return False
        self._not_taken_in_a_row = 0
        return True

    def _in_order(self) -> list[Stored]:
        """The images that wait for their rows, in the order of the form."""
        return sorted(self._batch.values(), key=lambda image: self._places[image.path])

    async def _slower_than(self, image: Stored) -> None:
        """Wait for the files at work that came before this one: their rows are written first."""
        place = self._places[image.path]
        slower = [task for path, task in self._working.items() if self._places[path] < place]
        if slower:
            await asyncio.wait(slower)

    async def _save(self) -> None:
        images = self._in_order()[:_BATCH]
        for image in images:
            del self._batch[image.path]
        superseded, self._unused = self._unused, []
        rows = await self._write_rows(images, superseded)
        for row, image in zip(rows, images, strict=True):
            if row["id"] is None:
                self.reject(image.path, f"its id {quoted(image.path)} belongs to another image of this dataset")
                continue
            self._images[image.path] = uploaded_image(image, row["id"], replaced=row["replaced"])
            if row["replaced"]:
                self._call.services.caches.images.forget((self.dataset_id, row["id"]))

    async def _write_rows(self, images: list[Stored], superseded: list[str]) -> list[Row]:
        for last in (False,) * (_TRIES - 1) + (True,):
            try:
                async with self._call.db.begin() as tx:
                    if self._files is not None:
                        await self._files.keep(tx)
                    # Once more: who lost the role since the upload began adds nothing to the dataset.
                    await members.authorize(tx, self._call, self.dataset_id, Role.ADMIN, ProjectLock.CHANGE)
                    rows = await store.save(tx, self.dataset_id, images)
                    if rows is None:
                        raise members.not_found()
                    await removal.enqueue_removal(tx, [*superseded, *_useless(rows, images)])
                    return rows
            except RetryTransaction:
                if last:
                    raise
        raise AssertionError("the last try returns or raises")


def _useless(rows: list[Row], images: list[Stored]) -> list[str]:
    """The keys of the objects that were replaced, and of those that got no row."""
    keys: list[str | None] = []
    for row, image in zip(rows, images, strict=True):
        if row["id"] is None:
            keys += image.keys
        elif row["replaced"]:
            keys += (row["old_key"], row["old_thumbnail_key"], row["old_rendition_key"])
    return [key for key in keys if key]


def uploaded_image(image: Stored, image_id: str, *, replaced: bool) -> UploadedImage:
    """What the summary says of an image that was stored."""
    return UploadedImage(
        id=image_id,
        file_name=image.file_name,
        width=image.width,
        height=image.height,
        size=image.size,
        replaced=replaced,
    )


def _stored(dataset_id: str, path: ImagePath, size: int, picture: Picture, *, shown: bool) -> Stored:
    keys = ObjectKeys.new(dataset_id, path)
    return Stored(
        path=path.text,
        s3_key=keys.image,
        stem=path.stem,
        file_name=path.name,
        folder_path=path.folder,
        size=size,
        width=picture.width,
        height=picture.height,
        content_sha256=picture.sha256,
        content_type=picture.content_type,
        thumbnail_key=keys.thumbnail,
        rendition_key=keys.rendition if shown else None,
        content_checksum=str(Checksum(picture.crc32, size, picture.sha256[:VERSION_CHARACTERS], picture.orientation)),
    )
