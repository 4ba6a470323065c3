"""Use cases of classes."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from labeler_api.classes import store
from labeler_api.classes.schemas import AddClass, ClassResponse, ReorderClasses, UpdateClass
from labeler_api.context import Call
from labeler_api.db.pool import Row, WriteTransaction
from labeler_api.errors import BadRequest, Conflict, NotFound, RetryTransaction, invalid
from labeler_api.idempotency import keys as idempotency
from labeler_api.members.authorization.service import access_held, actor, authorize
from labeler_api.members.policy import ProjectLock, Role
from labeler_api.projects.schemas import MAX_CLASSES_BYTES, ClassInfo
from labeler_api.projects.service import json
from labeler_api.text.names import quoted

# By class id, as stored. Fields that this service does not know are kept.
StoredClasses = dict[str, dict[str, Any]]

_stored = msgspec.json.Decoder(StoredClasses)
_counted = msgspec.json.Decoder(dict[str, tuple[int, int]])


async def add(call: Call, reference: str, task_type: str, body: AddClass) -> ClassResponse:
    """Append a class to a task. Raises BadRequest when the project lacks the task, Conflict when the id is taken."""
    async with idempotency.transaction(call) as tx:
        tx.queue_for_project(reference)
        if call.idempotency is not None:  # the access comes before the key
            (await authorize(tx, call, reference, Role.ADMIN, ProjectLock.CHANGE)).require_project_id()
        row = await idempotency.once(tx, call, lambda: _add(tx, call, reference, task_type, body))
    return _response(row["class_id"], row["info"], (0, 0))


async def _add(tx: WriteTransaction, call: Call, reference: str, task_type: str, body: AddClass) -> Row:
    class_id = body.class_id or secrets.token_hex(4)
    info = ClassInfo(name=body.name, color=body.color, description=body.description, order=0)
    row = await store.add(tx, actor(call, reference, Role.ADMIN), task_type, class_id, json(info), MAX_CLASSES_BYTES)
    found = _done(tx, call, row)
    if found["outcome"] == "no_task":
        raise BadRequest(
            f"The project has no task {quoted(task_type)}. Add the task first.", code="task_not_in_project"
        )
    if found["outcome"] == "exists":
        if body.class_id is None:
            raise RetryTransaction("The new class got an id that another one has. Try again.", retry_after=1)
        raise Conflict(f"The task has a class with the id {quoted(class_id)} already.", code="class_exists")
    return {"class_id": class_id, "info": msgspec.json.decode(found["class"])}


async def update(call: Call, reference: str, task_type: str, class_id: str, body: UpdateClass) -> ClassResponse:
    """Change what was sent and is not null. Raises NotFound for a task or a class that is not there."""
    changes = {name: value for name, value in msgspec.structs.asdict(body).items() if value is not None}
    (changed,) = await _change(call, reference, task_type, [class_id], [changes] if changes else None, bounded=True)
    return changed


async def delete(call: Call, reference: str, task_type: str, class_id: str) -> None:
    """Remove a class that no annotation of the task has. Raises NotFound as `update`, Conflict for one in use."""
    async with call.db.single() as tx:
        tx.queue_for_project(reference)
        row = await store.delete(tx, actor(call, reference, Role.ADMIN), task_type, class_id)
        found = _done(tx, call, row)
        _check_there(found["outcome"], task_type, class_id)
        if found["outcome"] == "in_use":
            raise Conflict(
                f"Annotations have the class {quoted(class_id)}. Give them another one, or delete them, first.",
                code="class_in_use",
            )


async def reorder(call: Call, reference: str, task_type: str, body: ReorderClasses) -> list[ClassResponse]:
    """Number the classes of a task in the order given. Raises NotFound for a task or a class that is not there."""
    ids = body.class_ids
    if len(set(ids)) < len(ids):
        raise invalid("names a class twice", "body", "class_ids")
    places = [{"order": order} for order in range(len(ids))]
    return await _change(call, reference, task_type, ids, places, bounded=False)


async def _change(
    call: Call,
    reference: str,
    task_type: str,
    ids: Sequence[str],
    changes: Sequence[Mapping[str, object]] | None,
    *,
    bounded: bool,
) -> list[ClassResponse]:
    """Change classes of a task, and return them in this order. Raises NotFound for what is not there."""
    text, most = None if changes is None else json(changes), MAX_CLASSES_BYTES if bounded else None
    async with call.db.single() as tx:
        tx.queue_for_project(reference)
        row = await store.change(tx, actor(call, reference, Role.ADMIN), task_type, ids, text, most)
        found = _done(tx, call, row)
        _check_there(found["outcome"], task_type, found["missing"])
    if not ids:
        return []
    classes, counts = _stored.decode(found["classes"]), _counted.decode(found["counts"])
    return [_response(class_id, classes[class_id], counts[class_id]) for class_id in ids]


def _done(tx: WriteTransaction, call: Call, row: Row | None) -> Row:
    """Judge what a function of the database found. Raises as `authorize` does, and BadRequest for too many classes."""
    access = access_held(row, call, Role.ADMIN)
    assert row is not None  # noqa: S101 - it was just judged
    tx.alias_dataset(access.dataset_id, access.require_project_id())
    if row["outcome"] == "too_large":
        raise BadRequest(
            f"The task's classes would take more than {MAX_CLASSES_BYTES} bytes. Remove some, or shorten descriptions.",
            code="classes_too_large",
        )
    return row


def _check_there(outcome: str, task_type: str, class_id: str) -> None:
    if outcome == "no_task":
        raise NotFound(f"The project has no task {quoted(task_type)}.", code="task_not_found")
    if outcome == "no_class":
        raise NotFound(f"The task has no class with the id {quoted(class_id)}.", code="class_not_found")


def _response(class_id: str, info: Mapping[str, Any], count: tuple[int, int]) -> ClassResponse:
    annotations, images = count
    return ClassResponse(
        class_id=class_id,
        name=info["name"],
        color=info["color"],
        description=info.get("description"),
        order=info["order"],
        image_count=images,
        bbox_count=annotations,
    )
