"""Use cases of projects."""

import secrets
from collections.abc import Sequence

import msgspec

from labeler_api import idempotency
from labeler_api.context import Call
from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.errors import BadRequest
from labeler_api.members.policy import Role
from labeler_api.members.service import not_found, require_role
from labeler_api.projects import store
from labeler_api.projects.schemas import AddTaskType, ClassCount, Counts, ProjectResponse, project_response
from labeler_api.projects.tasks import TASK_TYPES, config_at_creation, config_when_added


async def get(call: Call, reference: str) -> ProjectResponse:
    """Return a project with its stored counters."""
    async with call.db.read() as connection:
        access = await require_role(connection, call, reference, Role.VIEWER)
        row = await require(connection, access.project)
        counts = await count(connection, access.project)
    return project_response(row, counts)


async def add_task_type(call: Call, reference: str, body: AddTaskType) -> ProjectResponse:
    """Add a task to a project. Raises BadRequest for one that is unknown or there already."""
    task_type = body.task_type
    async with call.db.begin() as tx:
        access = await require_role(tx, call, reference, Role.ADMIN)
        if task_type not in TASK_TYPES:
            raise BadRequest(
                f"There is no task type {task_type!r}. Choose one of: {', '.join(TASK_TYPES)}.",
                code="unknown_task_type",
            )
        row = await idempotency.once(tx, call, lambda: _add_task_type(tx, call, access.project, task_type))
        counts = await count(tx, access.project)
    return await _with_updater(call, row, counts)


async def _add_task_type(tx: WriteTransaction, call: Call, project_id: str, task_type: str) -> Row:
    config = json(config_when_added(task_type))
    if not await store.add_task_type(tx, project_id, task_type, config, call.user_id):
        raise BadRequest(f"The project has the task type {task_type} already.", code="task_type_exists")
    return await require(tx, project_id)


async def of_dataset(call: Call, reference: str) -> ProjectResponse:
    """Return the project of a dataset with live counters; a dataset without one gets it now, for its owner."""
    async with call.db.read() as connection:
        access = await require_role(connection, call, reference, Role.VIEWER)
    project_id = access.project_id or await _create_now(call, reference, access.dataset_id)
    async with call.db.read() as connection:
        row = await require(connection, project_id)
        counts = await count(connection, project_id)
    response = await _with_updater(call, row, counts)
    response.annotated_images, response.total_annotations = counts.images, counts.annotations
    return response


async def create(tx: WriteTransaction, dataset_id: str, task_types: Sequence[str], actor: int) -> None:
    """Make the project of a dataset, with the owner's role and what each task needs; keeps one that is there."""
    await store.create(
        tx,
        project_id=f"proj_{secrets.token_hex(6)}",
        dataset_id=dataset_id,
        task_types=task_types,
        task_config=json({task_type: config_at_creation(task_type) for task_type in task_types}),
        task_classes=json({task_type: {} for task_type in task_types}),
        actor=actor,
    )


async def count(connection: ReadConnection, project_id: str) -> Counts:
    """Count a project's annotations by class and as a whole: one statement, whatever their number."""
    annotations = images = 0
    classes = {}
    for row in await store.counts(connection, project_id):
        if row["task_type"] is None:
            annotations, images = row["annotations"], row["images"]
        else:
            one = ClassCount(annotations=row["annotations"], images=row["images"])
            classes[row["task_type"], row["class_id"]] = one
    return Counts(annotations=annotations, images=images, classes=classes)


async def _create_now(call: Call, reference: str, dataset_id: str) -> str:
    async with call.db.begin() as tx:
        await create(tx, dataset_id, [], call.user_id)
        return (await require_role(tx, call, reference, Role.VIEWER)).project


async def _with_updater(call: Call, row: Row, counts: Counts) -> ProjectResponse:
    updater = row["last_updated_by"]
    users = await call.directory.get_many([] if updater is None else [updater], timeout=call.remaining_seconds)
    return project_response(row, counts, users.get(updater))


async def require(connection: ReadConnection, project_id: str) -> Row:
    """Read a project's row. Raises NotFound for one that was deleted since the access was checked."""
    row = await store.get(connection, project_id)
    if row is None:
        raise not_found()
    return row


def json(value: object) -> str:
    """Write a value as a jsonb parameter takes it."""
    return msgspec.json.encode(value).decode()
