"""The use case of an upload: read the form, and give every file of it to the intake.

What the form's `annotation_file` means is not known here: features further on know annotations, and pass in what is to
be done with it.
"""

import asyncio
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import structlog

from labeler_api.context import Call
from labeler_api.errors import AppError, Invalid, invalid
from labeler_api.http.multipart import Part, Spool
from labeler_api.images.archives import extract, read_directory
from labeler_api.images.intake import Intake
from labeler_api.images.paths import ImagePath, Refused
from labeler_api.images.schemas import UploadSummary
from labeler_api.members import service as members
from labeler_api.members.policy import Role
from labeler_api.members.service import Access
from labeler_api.streamed import StreamedFiles

_MAX_ARCHIVE_BYTES = 2 * 1024**3  # packed; unpacked it may hold no more either
_REASONS = 3  # in the sentence for a person; the first hundred are beside it
_NO_ROOM = "the server has no room for it at the moment; send it again later"

_AFTER_LEAVING_SECONDS = 2.0  # a picture of 12 megapixels takes a tenth of a second, and its objects the same

log = structlog.get_logger("labeler_api.images")


TakeFile = Callable[[Part], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What became of an upload into a dataset."""

    access: Access
    summary: UploadSummary


async def upload(
    call: Call,
    reference: str,
    form: AsyncIterator[Part],
    take_annotations: TakeFile,
    sent: StreamedFiles | None = None,
) -> Uploaded:
    """Store the images of a form in a dataset. Nothing of the form is read before the caller's role is known.

    A bad file fails alone. What ends the whole request (a limit, a part that is away, a client that left) keeps the
    images that came before it, and its error says how many. `take_annotations` is given the part `annotation_file` as
    it comes, and has to read it before it returns. `sent` is told of every file, and refuses those of another request.
    """
    async with call.db.read() as connection:
        access = await members.require_role(connection, call, reference, Role.ADMIN)
    intake = Intake(call, access.dataset_id, sent)
    try:
        async with call.services.draining.bounded():
            await _read_form(call, intake, form, take_annotations, sent)
            await intake.settle()
    except asyncio.CancelledError:
        await intake.cancel()
        raise
    except Exception as error:
        await _keep_what_came_before(intake, error)
        raise
    return Uploaded(access, intake.summary())


async def _keep_what_came_before(intake: Intake, error: Exception) -> None:
    if not isinstance(error, AppError):  # the client left: what is not stored soon is not worth the computing
        await intake.give_up_after(_AFTER_LEAVING_SECONDS)
    try:
        await intake.settle()
    except AppError as later:
        if later is not error:
            log.warning("the end of an upload was lost", reason=later.detail)
            await intake.cancel()
    if not isinstance(error, AppError):  # a client that left reads no answer
        return
    error.extra["images_uploaded"] = intake.stored
    if intake.stored:
        error.detail += f" The {intake.stored} images that came before it are stored."


async def _read_form(
    call: Call,
    intake: Intake,
    form: AsyncIterator[Part],
    take_annotations: TakeFile,
    sent: StreamedFiles | None,
) -> None:
    files = 0
    async for part in form:
        if not part.filename:  # a field, or the empty part of a file input that was left empty
            continue
        if part.name == "files":
            files += 1
            await _take(call, intake, part, part.filename, sent)
        elif part.name == "annotation_file":
            await take_annotations(part)
    if files == 0:
        raise invalid("is missing: send one or more files in the form's field `files`", "body", "files")


async def _take(call: Call, intake: Intake, part: Part, filename: str, sent: StreamedFiles | None) -> None:
    limit = call.settings.max_upload_file_bytes
    try:
        if filename.lower().endswith(".zip"):
            spool = await _spooled(part, filename, _MAX_ARCHIVE_BYTES, sent)
            await _expand(call, intake, filename, spool, limit)
            return
        # Without a key a file whose name is refused is skipped unread; with one its size belongs to the request.
        path = intake.path(filename) if sent is None else None
        spool = await _spooled(part, filename, limit, sent)
        try:
            path = path or intake.path(filename)
        except Refused:
            spool.close()
            raise
        await intake.take(path, spool)
    except Refused as refusal:
        intake.refuse(filename, refusal.detail)


async def _spooled(part: Part, filename: str, limit: int, sent: StreamedFiles | None) -> Spool:
    try:
        spool = await part.spool(limit)
    except OSError as error:  # a full disk; what is not read is skipped
        log.warning("a file of an upload cannot be kept", reason=repr(error))
        raise Refused(_NO_ROOM) from error
    if sent is not None:
        try:
            sent.add(part.name, filename, spool.size if spool is not None else None)
        except AppError:
            if spool is not None:
                spool.close()
            raise
    if spool is None:
        raise Refused(f"it is larger than {limit} bytes")
    return spool


async def _expand(call: Call, intake: Intake, filename: str, spool: Spool, limit: int) -> None:
    try:
        # In a thread, and one at a time: several would take turns with the event loop, and it would wait for all.
        async with call.services.unpacking:
            directory = await asyncio.to_thread(read_directory, spool.file, intake.dataset_id, intake.entries_left)
        intake.entries_left -= directory.entries
        intake.refusals.include(directory.refused, filename)
        for entry, path in directory.taken:
            try:
                await _take_entry(intake, directory.archive, entry, path, limit)
            except Refused as refusal:
                intake.refuse(f"{filename}: {path.text}", refusal.detail)
    finally:
        spool.close()


async def _take_entry(
    intake: Intake, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: ImagePath, limit: int
) -> None:
    target = Spool()
    try:
        target.size = await asyncio.to_thread(extract, archive, entry, target.file, limit)
    except BaseException:
        target.close()
        raise
    await intake.take(path, target)


def nothing_stored(summary: UploadSummary, and_also: str = "") -> Invalid:
    """Make the answer to a request of which nothing could be stored: anything but an error looks like a success."""
    files = "the file" if summary.failed_total == 1 else f"any of the {summary.failed_total} files"
    first = "; ".join(f"{one.filename}: {one.reason}" for one in summary.failed[:_REASONS])
    more = summary.failed_total - min(_REASONS, len(summary.failed))
    text = f"Nothing was stored of {files}. {first}{f'; and {more} more' if more else ''}.{and_also}"
    return Invalid(
        text,
        code="nothing_stored",
        errors=[{"loc": ["body", "files"], "message": f"{one.filename}: {one.reason}"} for one in summary.failed],
        images_uploaded=0,
        failed=summary.failed,
        failed_total=summary.failed_total,
    )
