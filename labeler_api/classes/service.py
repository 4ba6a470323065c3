"""Use cases of classes."""

import secrets
from collections.abc import Sequence
from typing import Any

import msgspec

from labeler_api import idempotency
from labeler_api.classes import store
from labeler_api.classes.schemas import AddClass, ClassResponse, ReorderClasses, UpdateClass
from labeler_api.context import Call
from labeler_api.db.pool import Row, WriteTransaction
from labeler_api.errors import BadRequest, Conflict, NotFound, invalid
from labeler_api.members.policy import Lock, Role
from labeler_api.members.service import authorize
from labeler_api.names import quoted
from labeler_api.projects import service as projects
from labeler_api.projects.schemas import ClassCount, ClassInfo
from labeler_api.projects.schemas_classes import MAX_CLASSES_BYTES

# By class id, as stored. Fields that this service does not know are kept.
StoredClasses = dict[str, dict[str, Any]]

_stored = msgspec.json.Decoder(StoredClasses)


async def add(call: Call, reference: str, task_type: str, body: AddClass) -> ClassResponse:
    """Append a class to a task. Raises BadRequest when the project lacks the task, Conflict when the id is taken."""
    async with call.db.begin() as tx:
        access = await authorize(tx, call, reference, Role.ADMIN, Lock.TURN)
        row = await idempotency.once(tx, call, lambda: _add(tx, call, access.project, task_type, body))
    return _response(row["class_id"], row["info"], None)


async def _add(tx: WriteTransaction, call: Call, project_id: str, task_type: str, body: AddClass) -> Row:
    classes = await _read(tx, project_id, task_type)
    if classes is None:
        raise BadRequest(
            f"The project has no task {quoted(task_type)}. Add the task first.", code="task_not_in_project"
        )
    class_id = body.class_id or _free_id(classes)
    if class_id in classes:
        raise Conflict(f"The task has a class with the id {quoted(class_id)} already.", code="class_exists")
    order = max((info["order"] for info in classes.values()), default=-1) + 1
    info = ClassInfo(name=body.name, color=body.color, description=body.description, order=order)
    classes[class_id] = msgspec.to_builtins(info)
    _check_size(classes)
    await _write(tx, call, project_id, task_type, classes)
    return {"class_id": class_id, "info": classes[class_id]}


async def update(call: Call, reference: str, task_type: str, class_id: str, body: UpdateClass) -> ClassResponse:
    """Change what was sent and is not null. Raises NotFound for a task or a class that is not there."""
    changes = {name: value for name, value in msgspec.structs.asdict(body).items() if value is not None}
    async with call.db.begin() as tx:
        access = await authorize(tx, call, reference, Role.ADMIN, Lock.TURN)
        classes = await _require_classes(tx, access.project, task_type, [class_id])
        if changes:
            classes[class_id] |= changes
            _check_size(classes)
            await _write(tx, call, access.project, task_type, classes)
        counts = await projects.count(tx, access.project)
    return _response(class_id, classes[class_id], counts.classes.get((task_type, class_id)))


async def delete(call: Call, reference: str, task_type: str, class_id: str) -> None:
    """Remove a class that no annotation of the task has. Raises NotFound as `update`, Conflict for one in use."""
    async with call.db.begin() as tx:
        # Alone: nobody may draw something with the class between the look and the commit.
        access = await authorize(tx, call, reference, Role.ADMIN, Lock.ALONE)
        classes = await _require_classes(tx, access.project, task_type, [class_id])
        if await store.in_use(tx, access.project, task_type, class_id):
            raise Conflict(
                f"Annotations have the class {quoted(class_id)}. Give them another one, or delete them, first.",
                code="class_in_use",
            )
        del classes[class_id]
        await _write(tx, call, access.project, task_type, classes)


async def reorder(call: Call, reference: str, task_type: str, body: ReorderClasses) -> list[ClassResponse]:
    """Number the classes of a task in the order given. Raises NotFound for a task or a class that is not there."""
    ids = body.class_ids
    if len(set(ids)) < len(ids):
        raise invalid("names a class twice", "body", "class_ids")
    async with call.db.begin() as tx:
        access = await authorize(tx, call, reference, Role.ADMIN, Lock.TURN)
        classes = await _require_classes(tx, access.project, task_type, ids)
        for order, class_id in enumerate(ids):
            classes[class_id]["order"] = order
        await _write(tx, call, access.project, task_type, classes)
        counts = await projects.count(tx, access.project)
    return [_response(class_id, classes[class_id], counts.classes.get((task_type, class_id))) for class_id in ids]


async def _require_classes(tx: WriteTransaction, project_id: str, task_type: str, ids: Sequence[str]) -> StoredClasses:
    """Read a task's classes. Raises NotFound for a task or a class that is not there."""
    classes = await _read(tx, project_id, task_type)
    if classes is None:
        raise NotFound(f"The project has no task {quoted(task_type)}.", code="task_not_found")
    unknown = [class_id for class_id in ids if class_id not in classes]
    if unknown:
        raise NotFound(f"The task has no class with the id {quoted(unknown[0])}.", code="class_not_found")
    return classes


async def _read(tx: WriteTransaction, project_id: str, task_type: str) -> StoredClasses | None:
    """Read a task's classes; None when the project has no such task."""
    row = await store.read(tx, project_id, task_type)
    return _stored.decode(row["classes"]) if row["has_task"] else None


def _check_size(classes: StoredClasses) -> None:
    """Raise BadRequest when a task's classes have become too many, or their descriptions too long."""
    if len(msgspec.json.encode(classes)) > MAX_CLASSES_BYTES:
        raise BadRequest(
            f"The task's classes would take more than {MAX_CLASSES_BYTES} bytes. Remove some, or shorten descriptions.",
            code="classes_too_large",
        )


async def _write(tx: WriteTransaction, call: Call, project_id: str, task_type: str, classes: StoredClasses) -> None:
    await store.write(tx, project_id, task_type, msgspec.json.encode(classes).decode(), call.user_id)


def _free_id(classes: StoredClasses) -> str:
    while (class_id := secrets.token_hex(4)) in classes:
        pass
    return class_id


def _response(class_id: str, info: dict[str, Any], count: ClassCount | None) -> ClassResponse:
    return ClassResponse(
        class_id=class_id,
        name=info["name"],
        color=info["color"],
        description=info.get("description"),
        order=info["order"],
        image_count=count.images if count else 0,
        bbox_count=count.annotations if count else 0,
    )
