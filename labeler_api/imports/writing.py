"""Writes what was read from a file, in one transaction: all of it, or nothing.

It takes the project's turn, as every writer of annotations does, and claims every image that it touches. Then it
replaces, adds tasks and classes, inserts, and counts.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import msgspec

from labeler_api import idempotency
from labeler_api.context import Call
from labeler_api.db.pool import Row, WriteTransaction
from labeler_api.errors import BadRequest, Stale
from labeler_api.imports import store
from labeler_api.imports.class_merge import Merged, merge
from labeler_api.imports.reading import Prepared
from labeler_api.imports.schemas import AddedClass, ImportReport
from labeler_api.locks.service import claim_for_write, naming_the_holder
from labeler_api.members.policy import Role
from labeler_api.members.service import Access, not_found, take_turn
from labeler_api.projects.schemas_classes import MAX_CLASSES_BYTES
from labeler_api.projects.tasks import config_when_added

# Images claimed by one statement. Renewing 6 000 locks of images that were uploaded just now, of which the planner has
# no statistics, takes four times as long in one piece.
_CLAIMED = 1000
_TRIES = 3  # of a transaction that met a deadlock; reading the file once more is too much to ask for

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


async def write(call: Call, access: Access, prepared: Prepared, mode: Mode, source_key: str | None) -> ImportReport:
    """Write the annotations, and note the file that they are from.

    Raises BadRequest when there are annotations already (Mode.FIRST), Locked while somebody else works on an image.
    """

    def make(tx: WriteTransaction, access: Access) -> Callable[[], Awaitable[Row]]:
        return lambda: _write(tx, call, access, prepared, mode, source_key)

    for last in (False,) * (_TRIES - 1) + (True,):
        try:
            async with naming_the_holder(call), call.db.begin(long=True) as tx:
                # Once more: reading the file took its time.
                access = await take_turn(tx, call, access.dataset_id, Role.ADMIN, alone=True)
                return report_of(await idempotency.once(tx, call, make(tx, access)))
        except Stale:
            if last:
                raise
    raise AssertionError("the last try returns or raises")


async def _write(
    tx: WriteTransaction, call: Call, access: Access, prepared: Prepared, mode: Mode, source_key: str | None
) -> Row:
    project = await store.project(tx, access.project)
    if project is None:
        raise not_found()
    refuse_unless_first(project, mode)
    drafts = prepared.drafts
    await claim(tx, call, access, await _touched(tx, access, prepared, mode))
    replaced = await store.delete_all(tx, access.project, call.user_id) if mode is Mode.REPLACE else 0
    vocabulary = _vocabulary(project, prepared)
    await _define(tx, access, vocabulary)
    last_id = project["last_id"]
    imported = await _insert(tx, call, access, prepared, vocabulary, last_id if mode is Mode.ADD else 0)
    await store.settle(tx, access.project, last_id, call.user_id)
    if source_key is not None:
        await store.note_source(tx, access.dataset_id, source_key)
    report = ImportReport(
        status="imported",
        format=prepared.format,
        imported=imported,
        skipped=drafts.total - imported,
        total=drafts.total,
        replaced=replaced,
        images=len(drafts.images),
        skipped_images=prepared.skipped_images,
        tasks=dict(sorted(drafts.tasks.items())),
        tasks_added=vocabulary.new_tasks,
        classes_added=vocabulary.added,
        warnings=prepared.warnings,
    )
    row: Row = msgspec.to_builtins(report)
    return row


def report_of(row: Row) -> ImportReport:
    """Read a report that was remembered."""
    return msgspec.convert(row, ImportReport)


def refuse_unless_first(project: Row, mode: Mode) -> None:
    """Raise BadRequest when annotations would be added to others against the mode."""
    if mode is Mode.FIRST and project["last_id"]:
        raise BadRequest(
            "The project has annotations already. Import with force=true to replace all of them; their history stays.",
            code="annotations_exist",
        )


async def _touched(tx: WriteTransaction, access: Access, prepared: Prepared, mode: Mode) -> set[str]:
    images = set(prepared.drafts.images)
    if mode is Mode.REPLACE:
        images.update(await store.annotated_images(tx, access.project, access.dataset_id))
    return images


async def claim(tx: WriteTransaction, call: Call, access: Access, images: Collection[str]) -> None:
    """Claim the images that an import writes to. Raises Locked while somebody else holds one of them."""
    ordered = sorted(images)
    for start in range(0, len(ordered), _CLAIMED):
        await claim_for_write(tx, call, access, ordered[start : start + _CLAIMED])


def _vocabulary(project: Row, prepared: Prepared) -> _Vocabulary:
    """Find the classes of the file in each task that it has annotations of, all of them, used or not."""
    stored = _classes.decode(project["task_classes"])
    vocabulary = _Vocabulary()
    for task in sorted(prepared.drafts.tasks):
        vocabulary.merged[task] = merge(stored.get(task, {}), prepared.classes)
        if vocabulary.merged[task].added:
            _check_size(task, vocabulary.merged[task])
        if task not in project["task_types"]:
            vocabulary.new_tasks.append(task)
    for task, number in prepared.drafts.classes:
        merged = vocabulary.merged[task]
        vocabulary.ids.append(merged.ids[number])
        vocabulary.names.append(str(merged.classes[merged.ids[number]].get("name") or merged.ids[number]))
    return vocabulary


def _check_size(task: str, merged: Merged) -> None:
    """Raise BadRequest when the task's classes would become too many or too long, as when one is added."""
    if len(msgspec.json.encode(merged.classes)) > MAX_CLASSES_BYTES:
        raise BadRequest(
            f"With the classes of this file, those of the task {task} would take more than {MAX_CLASSES_BYTES} bytes. "
            "Leave out classes that nothing is annotated with, or shorten their names.",
            code="classes_too_large",
        )


async def _define(tx: WriteTransaction, access: Access, vocabulary: _Vocabulary) -> None:
    changed: Mapping[str, Any] = {
        task: merged.classes
        for task, merged in vocabulary.merged.items()
        if merged.added or task in vocabulary.new_tasks
    }
    if changed:
        config = {task: config_when_added(task) for task in vocabulary.new_tasks}
        await store.define(tx, access.project, vocabulary.new_tasks, _json(config), _json(changed))


async def _insert(
    tx: WriteTransaction, call: Call, access: Access, prepared: Prepared, vocabulary: _Vocabulary, last_id: int
) -> int:
    imported = 0
    chunks = prepared.drafts.read()
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        imported += await store.insert(
            tx, access.project, call.user_id, chunk, vocabulary.ids, vocabulary.names, last_id
        )
    return imported


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
