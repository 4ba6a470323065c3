"""Use cases of imports: the file that a dataset's labels are from (call 54), and one that comes with an upload."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime

from labeler_api.context import Call
from labeler_api.errors import AppError, NotFound, TooLarge
from labeler_api.http.forms.multipart import Spool
from labeler_api.idempotency import keys as idempotency
from labeler_api.images.upload.schemas import ImportReport
from labeler_api.images.upload.session import UploadSession
from labeler_api.imports.checking import service as checking_service
from labeler_api.imports.readers.items import PlacedImage
from labeler_api.imports.readers.opening import is_archive
from labeler_api.imports.stored.schemas import ImportQuery, ImportResponse
from labeler_api.imports.writing import service as writing_service
from labeler_api.imports.writing import store as writing_store
from labeler_api.imports.writing.service import Mode
from labeler_api.locks.image_locks.service import naming_the_holder
from labeler_api.locks.import_locks.service import look_ahead
from labeler_api.members.authorization.service import Access, authorize, not_found
from labeler_api.members.policy import ProjectLock, Role

MAX_FILE_BYTES = 512 * 1024**2  # 200 000 polygons of twenty points take 320 MiB in our own, indented export
_READ_BYTES = 1024 * 1024
_SERVER_ERROR = 500

_JSON, _ARCHIVE = "application/json", "application/zip"


async def import_stored(call: Call, reference: str, query: ImportQuery) -> ImportResponse:
    """Import the file that the dataset's labels are from: the last one that was imported or published.

    Raises NotFound when there is none, BadRequest when there are annotations already and `force` is not given.
    """
    mode = Mode.REPLACE if query.force else Mode.FIRST
    async with call.db.read() as connection:
        access = await authorize(connection, call, reference, Role.ADMIN, ProjectLock.NONE)
        if (answer := await idempotency.answered(connection, call)) is not None:
            return _response(access, writing_service.report_of(answer))
        project = await writing_store.project(connection, access.require_project_id())
    if project is None:  # deleted since the access was checked
        raise not_found()
    if not project["annotation_path"]:
        raise NotFound(
            "The dataset has no annotation file. Upload one with its images, or publish a version.",
            code="no_annotation_file",
        )
    writing_service.refuse_unless_first(project, mode)
    spool = await _fetched(call, project["annotation_path"])
    try:
        with checking_service.closing(
            await checking_service.prepare(call, access, spool, skip_invalid=query.skip_invalid)
        ) as prepared:
            if query.dry_run:
                report = writing_service.predicted(project, prepared)
            else:
                report = await writing_service.write(call, access, prepared, mode, None)
    finally:
        spool.close()
    return _response(access, report)


def _response(access: Access, report: ImportReport) -> ImportResponse:
    return ImportResponse(
        status="success",
        project_id=access.require_project_id(),
        imported=report.imported,
        skipped=report.skipped,
        total=report.total,
        report=report,
    )


async def check_uploaded(call: Call, access: Access, spool: Spool, *, skip_invalid: bool) -> ImportReport:
    """Say what an import of this file would do, and write nothing."""
    async with call.db.read() as connection:
        project = await writing_store.project(connection, access.require_project_id())
    if project is None:
        raise not_found()
    with checking_service.closing(
        await checking_service.prepare(call, access, spool, skip_invalid=skip_invalid)
    ) as prepared:
        return writing_service.predicted(project, prepared)


async def judge_uploaded(
    call: Call, access: Access, spool: Spool, session: UploadSession, *, skip_invalid: bool
) -> checking_service.Prepared:
    """Read and check a file that came with images, before they have their rows. Raises what refuses it."""

    async def place(look: checking_service.Look) -> list[PlacedImage | None]:
        async with naming_the_holder(call):
            placed = await session.dry_run(look)
            async with call.db.read() as connection:
                await look_ahead(connection, call, access, await asyncio.to_thread(_ids, placed))
        return placed

    return await checking_service.prepare(call, access, spool, place, skip_invalid=skip_invalid)


def _ids(placed: list[PlacedImage | None]) -> set[str]:
    return {one.id for one in placed if one is not None}


async def import_uploaded(
    call: Call, access: Access, spool: Spool, prepared: checking_service.Prepared | None, *, skip_invalid: bool
) -> ImportReport:
    """Add the annotations of an uploaded file to those that there are; the file is kept as the dataset's.

    `prepared` is None where the images did not get the ids that the file was judged with.
    """
    if prepared is not None:
        return await _kept(call, access, spool, prepared)
    with checking_service.closing(
        await checking_service.prepare(call, access, spool, skip_invalid=skip_invalid)
    ) as anew:
        return await _kept(call, access, spool, anew)


async def _kept(call: Call, access: Access, spool: Spool, prepared: checking_service.Prepared) -> ImportReport:
    """Store the file under a key of its own, where it overwrites nothing, and write what it says."""
    bucket = call.settings.s3_bucket_datasets
    content_type = _ARCHIVE if await asyncio.to_thread(is_archive, spool.file) else _JSON
    key = _source_key(access.dataset_id, content_type)
    # Before the transaction: the store may be slow, or away, and nobody holds a connection while it is waited for.
    await call.objects.put(bucket, key, _chunks(spool), content_type, _metadata(call, access, prepared))
    try:
        return await writing_service.write(call, access, prepared, Mode.ADD, key)
    except AppError as error:
        if error.status < _SERVER_ERROR:  # else the commit may have gone through with its answer lost
            with suppress(AppError):  # what stays behind is found by nobody, and goes with the dataset
                await call.objects.delete_many(bucket, [key])
        raise


async def _chunks(spool: Spool) -> AsyncIterator[bytes]:
    await spool.rewind()
    while chunk := await asyncio.to_thread(spool.file.read, _READ_BYTES):
        yield chunk


def _source_key(dataset_id: str, content_type: str) -> str:
    moment = datetime.now(UTC).strftime("%Y%m%d_%H%M%S")
    extension = content_type.rpartition("/")[2]
    return f"datasets/{dataset_id}/imports/annotations_{moment}_{secrets.token_hex(4)}.{extension}"


def _metadata(call: Call, access: Access, prepared: checking_service.Prepared) -> dict[str, str]:
    return {
        "dataset_id": access.dataset_id,
        "format": prepared.format,
        "uploaded_by": str(call.user_id),
        "source": "labeler_import",
    }


async def _fetched(call: Call, key: str) -> Spool:
    """Copy an object of the datasets bucket into a temporary file. Raises NotFound and TooLarge."""
    spool = Spool()
    try:
        async with call.objects.open(call.settings.s3_bucket_datasets, key) as stream:
            if stream.size > MAX_FILE_BYTES:
                raise TooLarge(
                    f"The annotation file is over the limit of {MAX_FILE_BYTES} bytes.",
                    code="annotation_file_too_large",
                )
            async for chunk in stream.iter_chunks():
                await spool.write(chunk)
        await spool.rewind()
    except BaseException as error:
        spool.close()
        if isinstance(error, NotFound):
            raise NotFound(
                "The dataset's annotation file is not in the store any more. Upload it again.",
                code="annotation_file_missing",
            ) from None
        raise
    return spool
