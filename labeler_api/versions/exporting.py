"""Exporting what there is now (contract 61, and POST /export): a file by a link, and nothing kept in the database.

Everything is read in one read-only snapshot, so counts, classes and annotations agree whatever is edited meanwhile, and
is streamed to the store as it is made. The same transaction holds the project's turn, so a process that dies gives it
back. The file appears when its upload is finished: whoever is cut off before, by a client that leaves, an error or a
time limit, has the upload aborted; what a kill leaves are parts that nobody can see, which a later export of the
project removes, as it removes the files whose links have run out.
"""

import asyncio
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog

from labeler_api.context import Call
from labeler_api.db.pool import Snapshot
from labeler_api.errors import AppError, BadRequest, TooMany, Unavailable
from labeler_api.members.policy import Lock, Role
from labeler_api.members.service import authorize, not_found
from labeler_api.versions import contents, files, naming, store_export, store_selection
from labeler_api.versions.formats import Format
from labeler_api.versions.formats.source import Header
from labeler_api.versions.schemas import ExportRequest

_TURNS = 5  # exports of a project at once, over all processes: one more waits for minutes and not for the others
_RETRY_SECONDS = 10  # most exports take less
_EXPORT_SECONDS = 600.0  # as for publishing
_UNFINISHED = timedelta(minutes=15)  # longer than _EXPORT_SECONDS: no upload that is older is under way
_KEPT = timedelta(days=8)  # a link lives for seven days and up to twelve hours
_NAMED_IMAGES = 5
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
    written: files.Written


async def export(call: Call, reference: str, body: ExportRequest) -> Exported:
    """Export annotations of a task.

    Raises BadRequest for a format, a task, images or annotations that are not there, TooMany when the project exports
    as much as it may, Unavailable when this process has as much long work as it may for a while.
    """
    try:
        async with asyncio.timeout(_EXPORT_SECONDS), call.db.snapshot() as snapshot:
            exported = await _in_snapshot(call, snapshot, reference, body)
    except TimeoutError:
        raise Unavailable(
            "The export took longer than ten minutes and was given up. Choose fewer images, or try again when the "
            "system is less busy.",
            code="export_timeout",
            retry_after=60,
        ) from None
    await _tidy(call, exported.project_id)
    return exported


async def _in_snapshot(call: Call, snapshot: Snapshot, reference: str, body: ExportRequest) -> Exported:
    access = await authorize(snapshot, call, reference, Role.ADMIN, Lock.NONE)
    task_type = contents.task_of(
        body.task_type or await store_selection.first_task(snapshot, access.project) or "detection"
    )
    kind = contents.offered(body.export_format, task_type)
    if not await store_export.take_turn(snapshot, access.project, _TURNS):
        raise _too_many()
    if body.image_ids is not None:
        await _require_images(snapshot, access.dataset_id, body.image_ids)
    chosen = store_export.Chosen(
        project_id=access.project,
        dataset_id=access.dataset_id,
        stored_types=contents.stored_types(task_type),
        include_draft=body.include_draft,
        image_ids=body.image_ids,
    )
    header = await _header(call, snapshot, chosen, task_type, kind)
    path = f"{access.project}/{task_type}/{_folder(header.version_created_at)}/{kind.file_name}"
    return Exported(
        project_id=access.project,
        path=path,
        kind=kind,
        annotation_count=header.annotation_count,
        image_count=header.image_count,
        written=await _write(call, snapshot, chosen, header, kind, path),
    )


async def _require_images(snapshot: Snapshot, dataset_id: str, image_ids: list[str]) -> None:
    unknown = await store_selection.unknown_images(snapshot, dataset_id, image_ids, _NAMED_IMAGES + 1)
    if unknown:
        named = ", ".join(unknown[:_NAMED_IMAGES]) + (" and more" if len(unknown) > _NAMED_IMAGES else "")
        raise BadRequest(
            f"The dataset has no images of these ids: {named}. Send ids as the list of images tells them.",
            code="image_not_found",
            image_ids=unknown[:_NAMED_IMAGES],
        )


async def _header(call: Call, snapshot: Snapshot, chosen: store_export.Chosen, task_type: str, kind: Format) -> Header:
    """Look at what is chosen. Raises BadRequest when there is nothing, or the format cannot tell it."""
    await store_export.prefer_hash_joins(snapshot)
    summary = await store_export.summary_of(snapshot, chosen, task_type)
    if summary is None:
        raise not_found()
    if summary["annotation_count"] == 0:
        if task_type not in summary["task_types"]:
            raise contents.task_missing(task_type, summary["task_types"])
        raise _nothing(chosen, task_type)
    await contents.require_sizes(kind, partial(store_export.unsized, snapshot, chosen))
    return contents.header(
        summary,
        dataset_id=chosen.dataset_id,
        task_type=task_type,
        made_at=datetime.now(UTC),
        people=await contents.emails(call, summary["user_ids"]) if kind.names_people else {},
    )


def _nothing(chosen: store_export.Chosen, task_type: str) -> BadRequest:
    where = "" if chosen.image_ids is None else " on these images"
    if chosen.include_draft:
        return contents.nothing(
            "export", f"There are no annotations of {task_type}{where}: there is nothing to export."
        )
    return contents.nothing(
        "export",
        f"No annotation of {task_type}{where} is confirmed yet. Confirm some first, or include the drafts.",
    )


async def _write(
    call: Call, snapshot: Snapshot, chosen: store_export.Chosen, header: Header, kind: Format, path: str
) -> files.Written:
    source = files.StoredSource(
        header,
        partial(store_export.annotations, snapshot, chosen),
        partial(store_export.images, snapshot, chosen),
    )
    metadata = {
        "project_id": chosen.project_id,
        "format": kind.name,
        "uploaded_at": header.version_created_at.isoformat(),
    }
    bucket = call.settings.s3_bucket_annotations
    return await files.write(call.objects, bucket, naming.export_key(path), kind, source, metadata)


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
            if info.last_modified < now - _KEPT and _FOLDER.fullmatch(info.key.split("/")[-2])
        ]
        await call.objects.delete_many(bucket, old)
        async for upload in call.objects.unfinished(bucket, prefix):
            if upload.begun_at < now - _UNFINISHED:
                await call.objects.give_up(bucket, upload)
    except AppError as error:
        log.warning("old exports were not removed", project_id=project_id, reason=error.detail)
