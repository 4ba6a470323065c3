"""Use cases of projects."""

import secrets
from collections.abc import Mapping, Sequence

import msgspec

from labeler_api import idempotency
from labeler_api.context import Call
from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.errors import BadRequest
from labeler_api.members.policy import Lock, Role
from labeler_api.members.service import authorize, not_found
from labeler_api.names import quoted
from labeler_api.projects import store
from labeler_api.projects.schemas import AddTaskType, ClassCount, Counts, ProjectResponse, project_response
from labeler_api.projects.tasks import TASK_TYPES, config_at_creation, config_when_added

_ENTRY_BYTES = 400  # of one class in memory: a tuple, two strings, the counts


async def get(call: Call, reference: str) -> ProjectResponse:
    """Return a project with its stored counters."""
    async with call.db.read() as connection:
        access = await authorize(connection, call, reference, Role.VIEWER, Lock.NONE)
        row = await require(connection, access.project)
        counts = (await current_counts(connection, call, [row]))[access.project]
    return project_response(row, counts)


async def add_task_type(call: Call, reference: str, body: AddTaskType) -> ProjectResponse:
    """Add a task to a project. Raises BadRequest for one that is unknown or there already."""
    task_type = body.task_type
    async with call.db.begin() as tx:
        access = await authorize(tx, call, reference, Role.ADMIN, Lock.TURN)
        if task_type not in TASK_TYPES:
            raise BadRequest(
                f"There is no task type {quoted(task_type)}. Choose one of: {', '.join(TASK_TYPES)}.",
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
        access = await authorize(connection, call, reference, Role.VIEWER, Lock.NONE)
    project_id = access.project_id or await _create_now(call, reference, access.dataset_id)
    async with call.db.read() as connection:
        row = await require(connection, project_id)
        counts = (await current_counts(connection, call, [row]))[project_id]
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
    return (await _count(connection, [project_id]))[project_id]


async def current_counts(connection: ReadConnection, call: Call, rows: Sequence[Row]) -> Mapping[str, Counts]:
    """Count what these projects have, by id: one statement for those that changed since they were counted last.

    Every change of a project's annotations raises its revision in its own transaction. A count may be of a moment after
    its row was read; nobody reads that revision again then. Not for a transaction that has raised the revision itself:
    where that is rolled back, another change gets the number.
    """
    kept = call.services.caches.counts
    known = {}
    for row in rows:
        entry = kept.get(row["id"])
        if entry is not None and entry[0] == row["revision"]:
            known[row["id"]] = entry[1]
    if changed := [row for row in rows if row["id"] not in known]:
        known |= await _count(connection, [row["id"] for row in changed])
        for row in changed:
            counts = known[row["id"]]
            kept.put(row["id"], (row["revision"], counts), _ENTRY_BYTES * (1 + len(counts.classes)))
    return known


async def _count(connection: ReadConnection, project_ids: Sequence[str]) -> dict[str, Counts]:
    sums = dict.fromkeys(project_ids, (0, 0))
    classes: dict[str, dict[tuple[str, str], ClassCount]] = {project_id: {} for project_id in project_ids}
    for row in await store.counts(connection, project_ids):
        annotations, images = row["annotations"], row["images"]
        if row["task_type"] is None:
            sums[row["project_id"]] = annotations, images
        else:
            one = ClassCount(annotations=annotations, images=images)
            classes[row["project_id"]][row["task_type"], row["class_id"]] = one
    return {
        project_id: Counts(annotations=annotations, images=images, classes=classes[project_id])
        for project_id, (annotations, images) in sums.items()
    }


async def _create_now(call: Call, reference: str, dataset_id: str) -> str:
    async with call.db.begin() as tx:
        await create(tx, dataset_id, [], call.user_id)
        return (await authorize(tx, call, reference, Role.VIEWER, Lock.NONE)).project


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
