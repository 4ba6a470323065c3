"""Writes what was read from a file, in one transaction: all of it, or nothing, and in nobody's way.

1. The file is copied into a table of the transaction's own. Nobody else sees it.
2. A second, short transaction marks the images that the import writes to, and looks whether somebody else is at work on
   one of them. From its commit on a save on such an image is refused (423). Who had an image before is waited for.
3. The annotations are written with their revisions and statuses. Nobody waits for these rows.
4. The turn in the project, and the importer's role with it, is taken for the last statements: classes and counters.

The marks end with the transaction, however it ends (`locks/import_locks/store.py`).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from time import monotonic
from typing import Any

import msgspec

from labeler_api.context import Call
from labeler_api.db.pool import Row, WriteTransaction
from labeler_api.errors import AppError, BadRequest, Conflict, ImportRunning, RetryTransaction
from labeler_api.idempotency import keys as idempotency
from labeler_api.images.upload.schemas import AddedClass, ImportReport
from labeler_api.imports.checking.service import Prepared
from labeler_api.imports.staging import store as staging_store
from labeler_api.imports.writing import statistics, store
from labeler_api.imports.writing.class_merge import Merged, StoredClasses, merge, still_fits
from labeler_api.locks.image_locks.service import naming_the_holder
from labeler_api.locks.import_locks import service as import_locks_service
from labeler_api.locks.import_locks.service import ImportMarks
from labeler_api.members.authorization.service import Access, authorize, not_found
from labeler_api.members.policy import ProjectLock, Role
from labeler_api.projects.schemas import MAX_CLASSES_BYTES
from labeler_api.projects.tasks import config_when_added
from labeler_api.text.names import quoted

_TRIES = 3  # of a transaction that met a change of the classes, or a deadlock; reading the file again is too much
_WAIT_SECONDS = 1.0  # for another import to end: most are short, and a person waits
_LOOK_SECONDS = 0.1
# Annotations of one statement: about a second, so that its limit is far however large the file is, and the checks that
# PostgreSQL makes at its end take little memory.
_WRITTEN_AT_ONCE = 50_000
_WRITTEN_FIRST = 5_000  # then statistics are gathered beside: until then each save may look at all of them

_classes = msgspec.json.Decoder(dict[str, dict[str, dict[str, Any]]])


class Mode(Enum):
    """What happens to the annotations that a project has already."""

    ADD = "add"  # they stay, and what is equal to one of them is skipped
    FIRST = "first"  # there may be none
    REPLACE = "replace"  # they are deleted


@dataclass(slots=True)
class _Vocabulary:
    """The tasks and classes that a file needs: where each draft's class is found, and what has to be added."""

    ids: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    merged: dict[str, Merged] = field(default_factory=dict)
    new_tasks: list[str] = field(default_factory=list)

    @property
    def added(self) -> list[AddedClass]:
        return [
            AddedClass(task, class_id, merged.classes[class_id]["name"])
            for task, merged in self.merged.items()
            for class_id in merged.added
        ]


@dataclass(frozen=True, slots=True)
class _Written:
    """What the statements did."""

    imported: int
    replaced: int
    new_images: int  # those that had no annotation, less those that have none any more


async def write(call: Call, access: Access, prepared: Prepared, mode: Mode, source: str | None) -> ImportReport:
    """Write the annotations, and note the object that keeps the file.

    Raises BadRequest when there are annotations already (Mode.FIRST), Locked while somebody else works on an image.
    """

    def make(tx: WriteTransaction, access: Access) -> Callable[[], Awaitable[Row]]:
        return lambda: _write(tx, call, access, prepared, mode, source)

    try:
        for last in (False,) * (_TRIES - 1) + (True,):
            try:
                async with naming_the_holder(call), call.db.begin(long=True) as tx:
                    # Once more: reading the file took its time.
                    access = await authorize(tx, call, access.dataset_id, Role.ADMIN, ProjectLock.NONE)
                    report = report_of(await idempotency.once(tx, call, make(tx, access)))
            except RetryTransaction:
                if last:
                    raise
            else:
                return report
    finally:
        with suppress(AppError):  # they mean nothing any more; the next import takes them away
            await import_locks_service.sweep(call)
    raise AssertionError("the last try returns or raises")


async def _write(
    tx: WriteTransaction, call: Call, access: Access, prepared: Prepared, mode: Mode, source: str | None
) -> Row:
    importing = ImportMarks(await _stage(tx, prepared), access.require_project_id(), call.user_id)
    project, all_there = await _marked(call, access, importing, prepared, mode)
    if not all_there and (gone := await staging_store.missing_image(tx, access.dataset_id)) is not None:
        raise Conflict(
            f"Somebody deleted the image {quoted(gone)} while the file was read, so nothing was imported. Import it "
            "again.",
            code="image_deleted",
        )
    vocabulary = _vocabulary(project, prepared)
    await staging_store.name_classes(tx, vocabulary.ids, vocabulary.names)
    written = await _insert(tx, call, importing, prepared, mode)
    access = await authorize(tx, call, access.dataset_id, Role.ADMIN, ProjectLock.CHANGE, queued=False)
    await _define(tx, access, project, vocabulary)
    grown = written.imported - written.replaced
    await store.count(tx, access.require_project_id(), grown, written.new_images, call.user_id)
    if source is not None:
        await store.note_source(tx, access.dataset_id, source)
    if written.imported > _WRITTEN_FIRST:
        await statistics.enqueue_statistics(tx, written.imported)
    return _report(prepared, written, vocabulary)


async def _stage(tx: WriteTransaction, prepared: Prepared) -> int:
    """Copy the file into the transaction's own table; return the transaction's number."""
    number = await staging_store.begin(tx)
    chunks = prepared.drafts.read()
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        await staging_store.copy(tx, chunk)
    await staging_store.analyse(tx)
    return number


async def _marked(
    call: Call, access: Access, importing: ImportMarks, prepared: Prepared, mode: Mode
) -> tuple[Row, bool]:
    """Mark the images; return the project as it is then, and whether all of them are there.

    Waits a moment for another import to end.
    """
    until = monotonic() + _WAIT_SECONDS
    while True:
        try:
            project = await _mark(call, access, importing, prepared, mode)
            break
        except ImportRunning:
            if monotonic() > until:
                raise
        await asyncio.sleep(_LOOK_SECONDS)
    async with call.db.begin() as tx:
        return project, await importing.wait_for_writers(tx, access.dataset_id)


async def _mark(call: Call, access: Access, importing: ImportMarks, prepared: Prepared, mode: Mode) -> Row:
    images = await asyncio.to_thread(sorted, prepared.drafts.images)
    async with call.db.begin() as tx:
        tx.queue_for_project(access.require_project_id())
        await importing.mark(tx, images)
        if mode is Mode.REPLACE:
            await importing.mark_annotated(tx)
        access = await authorize(tx, call, access.dataset_id, Role.ADMIN, ProjectLock.CHANGE)
        await importing.refuse_if_taken(tx, whole=mode is not Mode.ADD)
        project = await store.project(tx, access.require_project_id())
        if project is None:
            raise not_found()
        _refuse_unless_first(project["last_id"], mode)
    return project


async def _insert(tx: WriteTransaction, call: Call, importing: ImportMarks, prepared: Prepared, mode: Mode) -> _Written:
    """Write annotations and statuses of marked images, where nobody else writes."""
    project_id, user_id, total = importing.project_id, importing.user_id, prepared.drafts.total
    moment = await store.hold(tx, project_id)
    if moment is None:
        raise not_found()
    present = await staging_store.collect_present(tx, project_id, importing.id)
    _refuse_unless_first(present, mode)  # somebody saved before the images were marked
    replaced = emptied = 0
    if present and mode is Mode.REPLACE:
        replaced, emptied = await store.delete_present(tx, project_id, importing.id, user_id, moment)
    elif present:
        await staging_store.drop_equal(tx)
    imported = await store.insert(tx, project_id, user_id, moment, first=0, behind=min(_WRITTEN_FIRST, total))
    async with _meanwhile(statistics.gather(call.db, total)) if total > _WRITTEN_FIRST else nullcontext():
        for first, behind in pairwise([*range(_WRITTEN_FIRST, total, _WRITTEN_AT_ONCE), total]):
            imported += await store.insert(tx, project_id, user_id, moment, first=first, behind=behind)
    filled = await store.refresh_statuses(tx, project_id, moment, present_stays=mode is not Mode.REPLACE)
    return _Written(imported, replaced, filled - emptied)


def predicted(project: Row, prepared: Prepared) -> ImportReport:
    """Say what an import would write, of what it adds to; nothing is written, and no annotation compared."""
    nothing = _Written(imported=0, replaced=0, new_images=0)
    report = report_of(_report(prepared, nothing, _vocabulary(project, prepared)))
    report.status, report.skipped = "checked", 0
    return report


@asynccontextmanager
async def _meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Have something done beside the block, which ends when both have."""
    task = asyncio.create_task(work)
    try:
        yield
        await task
    finally:
        task.cancel()
        await asyncio.wait({task})


def _report(prepared: Prepared, written: _Written, vocabulary: _Vocabulary) -> Row:
    drafts = prepared.drafts
    report = ImportReport(
        status="imported",
        format=prepared.format,
        imported=written.imported,
        skipped=drafts.total - written.imported,
        total=drafts.total,
        replaced=written.replaced,
        images=len(drafts.images),
        skipped_images=prepared.skipped_images,
        tasks=dict(sorted(drafts.tasks.items())),
        tasks_added=vocabulary.new_tasks,
        classes_added=vocabulary.added,
        warnings=prepared.warnings,
        errors=prepared.left_out.first,
        error_count=prepared.left_out.count,
    )
    row: Row = msgspec.to_builtins(report)
    return row


def report_of(row: Row) -> ImportReport:
    """Read a report that was remembered."""
    return msgspec.convert(row, ImportReport)


def refuse_unless_first(project: Row, mode: Mode) -> None:
    """Raise BadRequest when annotations would be added to others against the mode."""
    _refuse_unless_first(project["last_id"], mode)


def _refuse_unless_first(present: int, mode: Mode) -> None:
    if mode is Mode.FIRST and present:
        raise BadRequest(
            "The project has annotations already. Import with force=true to replace all of them; their history stays.",
            code="annotations_exist",
        )


def _vocabulary(project: Row, prepared: Prepared) -> _Vocabulary:
    """Find the classes of the file in each task that it has annotations of, all of them, used or not."""
    stored = _classes.decode(project["task_classes"])
    vocabulary = _Vocabulary()
    for task in sorted(prepared.drafts.tasks):
        vocabulary.merged[task] = merge(stored.get(task, {}), prepared.classes)
        if vocabulary.merged[task].added:
            _check_size(task, vocabulary.merged[task].classes)
        if task not in project["task_types"]:
            vocabulary.new_tasks.append(task)
    for task, number in prepared.drafts.classes:
        merged = vocabulary.merged[task]
        vocabulary.ids.append(merged.ids[number])
        vocabulary.names.append(str(merged.classes[merged.ids[number]].get("name") or merged.ids[number]))
    return vocabulary


def _check_size(task: str, classes: StoredClasses) -> None:
    """Raise BadRequest when the task's classes would become too many or too long, as when one is added."""
    if len(msgspec.json.encode(classes)) > MAX_CLASSES_BYTES:
        raise BadRequest(
            f"With the classes of this file, those of the task {task} would take more than {MAX_CLASSES_BYTES} bytes. "
            "Leave out classes that nothing is annotated with, or shorten their names.",
            code="classes_too_large",
        )


async def _define(tx: WriteTransaction, access: Access, seen: Row, vocabulary: _Vocabulary) -> None:
    """Add the tasks and classes that the file needs. Raises RetryTransaction if somebody changed them."""
    project = await store.project(tx, access.require_project_id())
    if project is None:
        raise not_found()
    stored = _classes.decode(project["task_classes"])
    if (project["task_types"], project["task_classes"]) != (seen["task_types"], seen["task_classes"]) and not all(
        still_fits(stored.get(task, {}), merged) for task, merged in vocabulary.merged.items()
    ):
        raise RetryTransaction(
            "Somebody changed the project's classes while the file was imported. Try again.", retry_after=1
        )
    new_tasks = [task for task in vocabulary.new_tasks if task not in project["task_types"]]
    changed: Mapping[str, Any] = {
        task: merged.with_added(stored.get(task, {}))
        for task, merged in vocabulary.merged.items()
        if merged.added or task in new_tasks
    }
    for task, classes in changed.items():
        _check_size(task, classes)  # others may have added some
    if changed:
        config = {task: config_when_added(task) for task in new_tasks}
        await store.define(tx, access.require_project_id(), new_tasks, _json(config), _json(changed))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
