"""Exports of what there is now, or of a version (call 61, contract#exports; POST /export): a file by a link, no row.

Everything is read in one read-only snapshot, so counts, classes and annotations agree whatever is edited meanwhile, and
is streamed to the store as it is made. The same transaction holds the project's turn, so a process that dies gives it
back. The file appears when its upload is finished. If it is cut off before, by a client that leaves, an error or a time
limit, the upload is aborted. A kill leaves parts that nobody can see. A later export of the project removes them, and
the files whose links have expired.
"""

import asyncio
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog

from labeler_api.context import Call
from labeler_api.db.pool import Row, Snapshot
from labeler_api.errors import AppError, TooMany, Unavailable
from labeler_api.images.checksums import service as checksums_service
from labeler_api.members.authorization.service import authorize, not_found
from labeler_api.members.policy import ProjectLock, Role
from labeler_api.versions.exporting import images as exported_images
from labeler_api.versions.exporting import store, subjects
from labeler_api.versions.exporting.subjects import Subject
from labeler_api.versions.files import bundles, contents, file_writing, naming
from labeler_api.versions.formats import Format
from labeler_api.versions.formats.archive_paths import Placed
from labeler_api.versions.schemas import ExportRequest

_TURNS = 5  # exports of a project at once, over all processes: one more waits for minutes and not for the others
_RETRY_SECONDS = 10  # most exports take less
_EXPORT_SECONDS = 600.0  # as for publishing
_UNFINISHED = timedelta(minutes=15)  # longer than _EXPORT_SECONDS: no upload that is older is under way
_FOLDER = re.compile(r"export_\d{8}_\d{6}_[0-9a-f]{8}")  # longer than a version's number can be

log = structlog.get_logger("labeler_api.versions")


@dataclass(frozen=True, slots=True)
class Exported:
    """A file in the store and what it holds."""

    project_id: str
    path: str  # project/task/export/file: the end of the key, and of the link
    kind: Format
    annotation_count: int
    image_count: int
    images_left_out: int  # of an export with images: those that are not there any more
    written: file_writing.Written


async def export(call: Call, reference: str, body: ExportRequest) -> Exported:
    """Export annotations of a task, or of a version.

    Raises BadRequest for a format, a task, images or annotations that are not there, TooMany when the project exports
    as much as it may, Unavailable when this process has as much long work as it may for a while.
    """
    try:
        async with asyncio.timeout(_EXPORT_SECONDS):
            found = await _count_bytes(call, reference, body) if body.include_images else {}
            async with call.db.snapshot() as snapshot:
                exported = await _in_snapshot(call, snapshot, reference, body, found)
    except TimeoutError:
        raise Unavailable(
            "The export took longer than ten minutes and was given up. Choose fewer images, or try again when the "
            "system is less busy.",
            code="export_timeout",
            retry_after=60,
        ) from None
    await _tidy(call, exported.project_id)
    return exported


async def _count_bytes(call: Call, reference: str, body: ExportRequest) -> exported_images.Found:
    """Read the older images without a checksum, before the export takes its turn and its connection."""
    found: exported_images.Found = {}
    after = ""
    while True:
        async with call.db.snapshot() as snapshot:
            subject, kind = await _subject(call, snapshot, reference, body)
            await _summary(snapshot, subject, kind)  # before bytes are read for nothing
            images = await exported_images.unread(snapshot, subject, found, after)
        found |= await checksums_service.compute(call, images)
        if len(images) < exported_images.AT_ONCE:
            return found
        after = images[-1].image_id


async def _subject(call: Call, snapshot: Snapshot, reference: str, body: ExportRequest) -> tuple[Subject, Format]:
    access = await authorize(snapshot, call, reference, Role.ADMIN, ProjectLock.NONE)
    subject = await subjects.find(snapshot, access, body)
    return subject, contents.offered(body.export_format, subject.task_type)


async def _in_snapshot(
    call: Call, snapshot: Snapshot, reference: str, body: ExportRequest, found: exported_images.Found
) -> Exported:
    subject, kind = await _subject(call, snapshot, reference, body)
    if not await store.take_turn(snapshot, subject.project_id, _TURNS):
        raise _too_many()
    summary = await _summary(snapshot, subject, kind)
    header = contents.header(
        summary,
        dataset_id=subject.dataset_id,
        task_type=subject.task_type,
        made_at=datetime.now(UTC),
        people=await contents.emails(call, summary["user_ids"]) if kind.names_people else {},
    )
    file_name = kind.bundle_name if body.include_images else kind.file_name
    path = f"{subject.project_id}/{subject.task_type}/{_folder(header.version_created_at)}/{file_name}"
    metadata = {
        "project_id": subject.project_id,
        "format": kind.name,
        "uploaded_at": header.version_created_at.isoformat(),
    }
    place = bundles.BundlePlace(call.settings.s3_bucket_annotations, naming.export_key(path))
    if body.include_images:
        survey = await exported_images.survey(snapshot, subject, kind, found)
        header = survey.of(header)
        if not header.image_count:
            raise contents.nothing("export", "None of the images is there any more: there is nothing to export.")
        source = Placed(subject.source(snapshot, header), kind.label_of, survey.left_out)
        pictures = exported_images.pictures(snapshot, subject, found)
        written = await bundles.write(call.objects, place, kind, source, pictures, survey.missing, metadata)
    else:
        source_alone = subject.source(snapshot, header)
        written = await file_writing.write(call.objects, place.bucket, place.key, kind, source_alone, metadata)
    return Exported(
        project_id=subject.project_id,
        path=path,
        kind=kind,
        annotation_count=header.annotation_count,
        image_count=header.image_count,
        images_left_out=summary["image_count"] - header.image_count,
        written=written,
    )


async def _summary(snapshot: Snapshot, subject: Subject, kind: Format) -> Row:
    """Look at what is chosen. Raises BadRequest when there is nothing, or the format cannot tell it."""
    await store.prefer_hash_joins(snapshot)
    summary = await subject.summary(snapshot)
    if summary is None:
        raise not_found()
    if summary["annotation_count"] == 0:
        raise subject.nothing(summary)
    await contents.require_sizes(kind, partial(subject.unsized, snapshot))
    return summary


def _folder(moment: datetime) -> str:
    """`export_YYYYMMDD_HHMMSS`, and what makes it the only one, whoever exports in the same second."""
    return f"export_{moment:%Y%m%d_%H%M%S}_{secrets.token_hex(4)}"


def _too_many() -> TooMany:
    return TooMany(
        f"{_TURNS} exports are running already. Try again when one of them is done.",
        code="too_many_exports",
        retry_after=_RETRY_SECONDS,
    )


async def _tidy(call: Call, project_id: str) -> None:
    """Remove exports of the project whose links have run out, and uploads that nobody is at any more."""
    bucket, prefix, now = call.settings.s3_bucket_annotations, naming.export_key(f"{project_id}/"), datetime.now(UTC)
    try:
        old = [
            info.key
            async for info in call.objects.list(bucket, prefix)
            if info.last_modified < now - naming.EXPORT_KEPT and _FOLDER.fullmatch(info.key.split("/")[-2])
        ]
        await call.objects.delete_many(bucket, old)
        async for upload in call.objects.unfinished(bucket, prefix):
            if upload.begun_at < now - _UNFINISHED:
                await call.objects.give_up(bucket, upload)
    except AppError as error:
        log.warning("old exports were not removed", project_id=project_id, reason=error.detail)
