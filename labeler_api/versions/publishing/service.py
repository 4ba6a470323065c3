"""Publishing a version (call 62, contract#exports), in steps that each can fail without leaving half a version.

1. A short transaction checks everything, then reserves the number with a row that is an attempt (`publishing`) and no
   version yet. The project's lock and the unique index decide the number: two attempts never hold the same one, and
   whoever asks for a number that is held gets 409 here, before a byte is stored.
2. One statement copies the annotations, with the name and size of their image, into `annotation_snapshots`; of those
   that are as they were in the version before, it notes the rows that are there. One statement sees one state of the
   database, so the files, the counts and the snapshot agree whatever is edited meanwhile, and nobody waits for a lock.
3. E-mails of the people named are asked for in one batch. A gateway that is away stops the publishing: a file that can
   never be changed is not made without them.
4. The files are streamed from the frozen rows through a cursor to the store: DICE always, and the format asked for,
   after a check that this format can carry the frozen rows. The keys belong to the number, and the number to this
   attempt alone.
5. A short transaction turns the attempt into a version. Only now does anybody see it.
6. The DICE file is copied to its place in the dataset, and the dataset noted as labeled.

Any failure before 5 gives the attempt up: its files are deleted while it still holds the number, then the row goes.
A crash leaves an attempt that nobody is shown. The first publishing of the project a quarter of an hour later removes
it, and the next attempt with its number writes over its files. An attempt that lives ends within ten minutes, so it can
never write into a number that has been given to another.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog

from labeler_api.context import Call
from labeler_api.db.pool import Row, WriteTransaction
from labeler_api.errors import AppError, BadRequest, Conflict, Unavailable
from labeler_api.idempotency import keys as idempotency
from labeler_api.members.authorization.service import authorize, not_found
from labeler_api.members.policy import ProjectLock, Role
from labeler_api.versions.files import contents, file_writing, naming
from labeler_api.versions.formats import DICE, Format
from labeler_api.versions.formats.source import Header
from labeler_api.versions.publishing import dataset_copy, store
from labeler_api.versions.schemas import PublishVersion

_PUBLISH_SECONDS = 600.0  # a million annotations take about a minute; proxies have given up long before
_ABANDONED = timedelta(minutes=15)  # longer than _PUBLISH_SECONDS, with room for clocks and a slow farewell
_RETRY_SECONDS = 60

log = structlog.get_logger("labeler_api.versions")


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A number that is held."""

    version_id: int
    number: str
    created_at: datetime
    project_id: str
    dataset_id: str
    task_type: str
    include_draft: bool
    wanted: Format

    def key(self, kind: Format) -> str:
        return naming.file_key(self.project_id, self.task_type, self.number, kind.file_name)


class _PublishedAlready(Exception):
    """An equal request with the same Idempotency-Key was first; this attempt is given up."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        self.row = row


async def publish(call: Call, reference: str, body: PublishVersion) -> Row:
    """Publish a version; return its row.

    Raises BadRequest for a format, a task or annotations that are not there, Conflict for a number that is taken.
    """
    try:
        async with asyncio.timeout(_PUBLISH_SECONDS):
            attempt = await _reserve(call, reference, body)
            async with _given_up_on_failure(call, attempt):
                row = await _make(call, attempt)
    except _PublishedAlready as other:
        return other.row
    except TimeoutError:
        raise Unavailable(
            "Publishing took longer than ten minutes and was given up. Try again when the system is less busy.",
            code="publish_timeout",
            retry_after=_RETRY_SECONDS,
        ) from None
    await dataset_copy.refresh(call, attempt.project_id, attempt.dataset_id, attempt.task_type, attempt.number)
    return row


async def _reserve(call: Call, reference: str, body: PublishVersion) -> _Attempt:
    task_type = contents.task_of(body.task_type)
    async with call.db.begin() as tx:
        # As who writes classes of the project does: numbers are given out one by one.
        access = await authorize(tx, call, reference, Role.ADMIN, ProjectLock.CHANGE)
        wanted = contents.offered(body.export_format, task_type)
        project = await store.present(tx, access.require_project_id(), contents.stored_types(task_type))
        _check_content(project, task_type, include_draft=body.include_draft)
        await store.drop_abandoned(tx, access.require_project_id(), _ABANDONED)
        row = await store.reserve(
            tx,
            project_id=access.require_project_id(),
            task_type=task_type,
            version_number=body.version_number,
            created_by=call.user_id,
            description=body.description,
            export_format=wanted.name,
        )
    if row is None:
        raise Conflict(
            f"Version {body.version_number} of {task_type} exists already, or is being published at this moment. "
            "Choose another number, or leave it out to get the next one.",
            code="version_exists",
        )
    return _Attempt(
        version_id=row["id"],
        number=row["version_number"],
        created_at=row["created_at"],
        project_id=access.require_project_id(),
        dataset_id=access.dataset_id,
        task_type=task_type,
        include_draft=body.include_draft,
        wanted=wanted,
    )


def _check_content(project: Row | None, task_type: str, *, include_draft: bool) -> None:
    """Refuse what would make an empty version: a version can never be changed, so an empty one is of no use."""
    if project is None:  # deleted since the access was checked
        raise not_found()
    tasks: list[str] = project["task_types"]
    if task_type not in tasks and not project["has_any"]:
        raise contents.task_missing(task_type, tasks)
    if not project["has_any"]:
        raise _nothing(f"The task {task_type} has no annotations yet: there is nothing to publish.")
    if not project["has_confirmed"] and not include_draft:
        raise _nothing(f"No annotation of {task_type} is confirmed yet. Confirm some first, or include the drafts.")


def _nothing(text: str) -> BadRequest:
    return contents.nothing("publish", text)


@asynccontextmanager
async def _given_up_on_failure(call: Call, attempt: _Attempt) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        # Shielded: a request that is cancelled cleans up all the same.
        await asyncio.shield(_give_up(call, attempt))
        raise


async def _make(call: Call, attempt: _Attempt) -> Row:
    frozen = await _freeze(call, attempt)
    header = contents.header(
        frozen,
        dataset_id=attempt.dataset_id,
        task_type=attempt.task_type,
        made_at=attempt.created_at,
        people=await contents.emails(call, frozen["user_ids"]),
    )
    written = await _write_files(call, attempt, header)
    async with call.db.begin() as tx:
        # Once more: a caller who lost the role meanwhile publishes nothing.
        await authorize(tx, call, attempt.project_id, Role.ADMIN, ProjectLock.ROLE)
        row = await idempotency.once(tx, call, partial(_publish, tx, attempt, header, written))
    if row["id"] != attempt.version_id:
        raise _PublishedAlready(row)
    return row


async def _publish(tx: WriteTransaction, attempt: _Attempt, header: Header, written: file_writing.Written) -> Row:
    row = await store.publish(
        tx,
        attempt.version_id,
        project_id=attempt.project_id,
        annotation_count=header.annotation_count,
        image_count=header.image_count,
        export_path=attempt.key(attempt.wanted),
        file_size_bytes=written.size_bytes,
        content_sha256=written.sha256,
    )
    if row is None:
        raise Conflict("This publishing was given up meanwhile. Publish again.", code="publish_interrupted")
    return row


async def _freeze(call: Call, attempt: _Attempt) -> Row:
    async with call.db.begin(long=True) as tx:
        row = await store.freeze(
            tx,
            attempt.version_id,
            project_id=attempt.project_id,
            dataset_id=attempt.dataset_id,
            task_type=attempt.task_type,
            stored_types=contents.stored_types(attempt.task_type),
            include_draft=attempt.include_draft,
        )
    if row is None:
        raise not_found()
    if row["annotation_count"] == 0:  # unconfirmed or deleted since it was checked
        raise _nothing(f"No annotation of {attempt.task_type} is left to publish.")
    return row


async def _write_files(call: Call, attempt: _Attempt, header: Header) -> file_writing.Written:
    """Write the DICE file, and the one asked for where that is another; tell of the one asked for."""
    bucket = call.settings.s3_bucket_annotations
    async with call.db.snapshot() as snapshot:
        await contents.require_sizes(attempt.wanted, partial(store.frozen_unsized, snapshot, attempt.version_id))
        source = file_writing.frozen(snapshot, attempt.version_id, header)
        written = {
            kind.name: await file_writing.write(
                call.objects, bucket, attempt.key(kind), kind, source, _metadata(attempt, kind)
            )
            for kind in dict.fromkeys((DICE, attempt.wanted))
        }
    return written[attempt.wanted.name]


def _metadata(attempt: _Attempt, kind: Format) -> dict[str, str]:
    """What the frontend's contract wants on the exports, and on the copy of the DICE file, which takes it along."""
    moment = attempt.created_at.astimezone(UTC).isoformat()
    common = {"project_id": attempt.project_id, "version": attempt.number, "format": kind.name, "uploaded_at": moment}
    if kind is not DICE:
        return common
    copied = {"dataset_id": attempt.dataset_id, "task_type": attempt.task_type, "updated_at": moment}
    return {**common, **copied, "source": "labeler_publish"}


async def _give_up(call: Call, attempt: _Attempt) -> None:
    """Remove what an attempt left. What cannot be removed now is what a crash leaves: see the module."""
    try:
        async with call.db.begin() as tx:
            mine = await store.give_up(tx, attempt.version_id)
        if not mine:  # published after all, though the answer to the commit was lost
            return
        keys = [attempt.key(kind) for kind in dict.fromkeys((DICE, attempt.wanted))]
        try:
            await call.objects.delete_many(call.settings.s3_bucket_annotations, keys)
        finally:
            async with call.db.begin() as tx:
                await store.remove(tx, attempt.version_id)
    except AppError as error:
        log.warning("an attempt to publish was not cleaned up", version_id=attempt.version_id, reason=error.detail)
