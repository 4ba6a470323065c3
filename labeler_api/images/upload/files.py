"""The use case of an upload: read the form, and give every file of it to the session.

What the form's `annotation_file` means is not known here: features further on know annotations, and pass in what is to
be done with it, as an `AnnotationFile`.
"""

import asyncio
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

import structlog

from labeler_api.context import Call
from labeler_api.errors import AppError, FileRejected, Invalid, invalid
from labeler_api.http.forms.multipart import Part, Spool
from labeler_api.idempotency.streamed_uploads import StreamedFiles
from labeler_api.images.paths import ImagePath
from labeler_api.images.upload.archives import extract, read_contents
from labeler_api.images.upload.schemas import ImportReport, UploadSummary
from labeler_api.images.upload.session import UploadSession
from labeler_api.members.authorization import service as members
from labeler_api.members.authorization.service import Access
from labeler_api.members.policy import ProjectLock, Role

_MAX_ARCHIVE_BYTES = 2 * 1024**3  # packed; unpacked it may hold no more either
_REASONS = 3  # in the sentence for a person; the others are beside it
_ERRORS = 100  # in the words of `errors`, which say the same as `failed`
_NO_ROOM = "the server has no room for it at the moment; send it again later"

_NAMELESS = "(no name)"

_SERVER_ERROR = 500

_AFTER_LEAVING_SECONDS = 2.0  # a picture of 12 megapixels takes a tenth of a second, and its objects the same

log = structlog.get_logger("labeler_api.images")


class AnnotationFile(Protocol):
    """What is to be done with the form's `annotation_file`; `skip_invalid`: what does not fit is left out."""

    skip_invalid: bool

    async def take(self, part: Part) -> None:
        """Read the part before returning."""

    async def judge(self, call: Call, access: Access, session: UploadSession) -> None:
        """Raise an AppError that refuses what was read. The images are in the store by then, and have no rows yet."""

    async def checked(self, call: Call, access: Access) -> ImportReport:
        """Say what an import would do, and write nothing. Raises what refuses the file."""

    async def imported(self, call: Call, uploaded: "Uploaded") -> ImportReport | None:
        """Import what was read; None when no file came."""

    def close(self) -> None:
        """Remove the temporary files."""


class AnnotationFiles(Protocol):
    """Makes an `AnnotationFile` for one upload; `sent` is told of the file."""

    def __call__(self, sent: StreamedFiles | None, *, skip_invalid: bool) -> AnnotationFile:
        """Make it."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What became of an upload into a dataset. `ids_are_as_predicted`: the images have the ids of the dry run."""

    access: Access
    summary: UploadSummary
    ids_are_as_predicted: bool


async def upload(
    call: Call,
    reference: str,
    form: AsyncIterator[Part],
    annotations: AnnotationFile,
    sent: StreamedFiles | None = None,
) -> Uploaded:
    """Store the images of a form in a dataset. Nothing of the form is read before the caller's role is known.

    A bad file fails alone. What ends the whole request (a limit, a part that is away, a client that left) keeps the
    images that came before it, and its error says how many. If the annotation file is refused, no
    image is kept either: on the frontend, any answer but an error looks like a success. `sent` is told of every file,
    and refuses those of another request.
    """
    async with call.db.read() as connection:
        access = await members.authorize(connection, call, reference, Role.ADMIN, ProjectLock.NONE)
    session = UploadSession(call, access.dataset_id, sent)
    try:
        async with call.services.draining.bounded():
            await _read_form(call, session, form, annotations, sent)
            await session.finish()
            await _judge(call, access, session, annotations)
            await session.save_rest()
    except asyncio.CancelledError:
        await session.cancel()
        raise
    except Exception as error:
        await _keep_what_came_before(session, error)
        raise
    return Uploaded(access, session.summary(), session.ids_are_as_predicted)


async def _judge(call: Call, access: Access, session: UploadSession, annotations: AnnotationFile) -> None:
    try:
        await annotations.judge(call, access, session)
    except AppError as error:
        if error.status >= _SERVER_ERROR:  # not for what was sent: the images stay
            raise
        had_images = session.waiting or session.stored
        await session.discard()
        summary = session.summary()
        if not had_images and summary.failed_total:
            raise nothing_stored(summary, f" The annotation file: {error.detail}") from None
        if not session.stored:
            error.detail += " Nothing was stored."
        error.extra |= {"failed": summary.failed, "failed_total": summary.failed_total}
        raise


async def _keep_what_came_before(session: UploadSession, error: Exception) -> None:
    if not isinstance(error, AppError):  # the client left: what is not stored soon is not worth the computing
        await session.give_up_after(_AFTER_LEAVING_SECONDS)
    try:
        await session.save_rest()
    except AppError as later:
        if later is not error:
            log.warning("the end of an upload was lost", reason=later.detail)
            await session.cancel()
    if not isinstance(error, AppError):  # a client that left reads no answer
        return
    error.extra["images_uploaded"] = session.stored
    if session.stored:
        single = session.stored == 1
        before = "image that came before it is" if single else f"{session.stored} images that came before it are"
        error.detail += f" The {before} stored."


async def _read_form(
    call: Call,
    session: UploadSession,
    form: AsyncIterator[Part],
    annotations: AnnotationFile,
    sent: StreamedFiles | None,
) -> None:
    files = 0
    async for part in form:
        if part.name == "files":
            if part.filename:
                files += 1
                await _take(call, session, part, part.filename, sent)
            else:
                files += await _refuse_nameless(call, session, part, sent)
        elif part.name == "annotation_file" and part.filename:
            await annotations.take(part)
    if files == 0:
        raise invalid("is missing: send one or more files in the form's field of this name", "body", "files")


async def _refuse_nameless(call: Call, session: UploadSession, part: Part, sent: StreamedFiles | None) -> bool:
    """Refuse a file that came without a name. False for the empty part of a file input that was left empty."""
    try:
        spool = await _spooled(part, "", call.settings.max_upload_file_bytes, sent)
        spool.close()
        if not spool.size:
            return False
        session.reject(_NAMELESS, "it came without a name: send its path as the filename of its part")
    except FileRejected as refusal:
        session.reject(_NAMELESS, refusal.detail)
    return True


async def _take(call: Call, session: UploadSession, part: Part, filename: str, sent: StreamedFiles | None) -> None:
    limit = call.settings.max_upload_file_bytes
    try:
        if filename.lower().endswith(".zip"):
            spool = await _spooled(part, filename, _MAX_ARCHIVE_BYTES, sent)
            await _expand(call, session, filename, spool, limit)
            return
        # Without a key a file whose name is refused is skipped unread; with one its size belongs to the request.
        path = session.path(filename) if sent is None else None
        spool = await _spooled(part, filename, limit, sent)
        try:
            path = path or session.path(filename)
        except FileRejected:
            spool.close()
            raise
        await session.take(path, spool)
    except FileRejected as refusal:
        session.reject(filename, refusal.detail)


async def _spooled(part: Part, filename: str, limit: int, sent: StreamedFiles | None) -> Spool:
    try:
        spool = await part.spool(limit)
    except OSError as error:  # a full disk; what is not read is skipped
        log.warning("a file of an upload cannot be kept", reason=repr(error))
        raise FileRejected(_NO_ROOM) from error
    if sent is not None:
        try:
            sent.add(part.name, filename, spool.size if spool is not None else None)
        except AppError:
            if spool is not None:
                spool.close()
            raise
    if spool is None:
        raise FileRejected(f"it is larger than {limit} bytes")
    return spool


async def _expand(call: Call, session: UploadSession, filename: str, spool: Spool, limit: int) -> None:
    try:
        # In a thread, and one at a time: several would take turns with the event loop, and it would wait for all.
        async with call.services.unpacking:
            contents = await asyncio.to_thread(read_contents, spool.file, session.dataset_id, session.entries_left)
        session.entries_left -= contents.entries
        session.rejections.include(contents.refused, filename)
        for entry, path in contents.taken:
            try:
                await _take_entry(session, contents.archive, entry, path, limit)
            except FileRejected as refusal:
                session.reject(f"{filename}: {path.text}", refusal.detail, is_member=True)
    finally:
        spool.close()


async def _take_entry(
    session: UploadSession, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: ImagePath, limit: int
) -> None:
    target = Spool()
    try:
        target.size = await asyncio.to_thread(extract, archive, entry, target.file, limit)
    except BaseException:
        target.close()
        raise
    await session.take(path, target, is_member=True)


def nothing_stored(summary: UploadSummary, and_also: str = "") -> Invalid:
    """Make the answer to a request of which nothing could be stored: the frontend takes any other for a success."""
    files = "the file" if summary.failed_total == 1 else f"any of the {summary.failed_total} files"
    first = "; ".join(f"{one.filename}: {one.reason}" for one in summary.failed[:_REASONS])
    more = summary.failed_total - min(_REASONS, len(summary.failed))
    text = f"Nothing was stored of {files}. {first}{f'; and {more} more' if more else ''}.{and_also}"
    return Invalid(
        text,
        code="nothing_stored",
        errors=[
            {"loc": ["body", "files"], "message": f"{one.filename}: {one.reason}"} for one in summary.failed[:_ERRORS]
        ],
        images_uploaded=0,
        failed=summary.failed,
        failed_total=summary.failed_total,
    )
