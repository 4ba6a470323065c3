"""Use cases of projects."""

import secrets
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from labeler_api.context import Call
from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.errors import BadRequest, Conflict, invalid
from labeler_api.http.input.json_rules import stored_bytes
from labeler_api.http.paging import decode_cursor, encode_cursor
from labeler_api.idempotency import keys as idempotency
from labeler_api.members.authorization.service import Access, access_held, access_of, actor, authorize, not_found
from labeler_api.members.policy import ProjectLock, Role
from labeler_api.projects import store
from labeler_api.projects.schemas import (
    MAX_CLASSES_BYTES,
    MAX_FREE_BYTES,
    AddTaskType,
    ClassCount,
    ClassInfo,
    Counts,
    CreateProject,
    JsonObject,
    NewClass,
    Position,
    ProjectResponse,
    ProjectsQuery,
    UpdateProject,
    project_response,
)
from labeler_api.projects.tasks import TASK_TYPES, config_at_creation, config_when_added
from labeler_api.text.names import quoted

_ENTRY_BYTES = 400  # of one class in memory: a tuple, two strings, the counts


async def get(call: Call, reference: str) -> ProjectResponse:
    """Return a project with its stored counters."""
    row, access, counts = await counted(call, reference)
    access.require_project_id()
    return project_response(row, counts)


async def add_task_type(call: Call, reference: str, body: AddTaskType) -> ProjectResponse:
    """Add a task to a project. Raises BadRequest for one that is unknown or there already."""
    task_type = body.task_type
    if task_type not in TASK_TYPES:
        async with call.db.read() as connection:
            (await authorize(connection, call, reference, Role.ADMIN, ProjectLock.NONE)).require_project_id()
        raise BadRequest(
            f"There is no task type {quoted(task_type)}. Choose one of: {', '.join(TASK_TYPES)}.",
            code="unknown_task_type",
        )
    if call.idempotency is not None:
        return await _add_task_type_once(call, reference, task_type)
    async with call.db.single() as tx:
        tx.queue_for_project(reference)
        await _add_task_type(tx, call, reference, task_type)
    row, _, counts = await counted(call, reference)
    return await _with_updater(call, row, counts)


async def _add_task_type_once(call: Call, reference: str, task_type: str) -> ProjectResponse:
    async def make() -> Row:
        await _add_task_type(tx, call, access.require_project_id(), task_type)
        return await require(tx, access.require_project_id())

    async with call.db.begin() as tx:
        access = await authorize(tx, call, reference, Role.ADMIN, ProjectLock.CHANGE)
        row = await idempotency.once(tx, call, make)
        counts = await count(tx, access.require_project_id())
    return await _with_updater(call, row, counts)


async def _add_task_type(tx: WriteTransaction, call: Call, reference: str, task_type: str) -> None:
    config = json(config_when_added(task_type))
    row = await store.add_task_type(tx, actor(call, reference, Role.ADMIN), task_type, config)
    access_held(row, call, Role.ADMIN)
    if row is None or not row["is_added"]:
        raise BadRequest(f"The project has the task type {task_type} already.", code="task_type_exists")


async def of_dataset(call: Call, reference: str) -> ProjectResponse:
    """Return the project of a dataset with live counters; a dataset without one gets it now, for its owner."""
    row, access, counts = await counted(call, reference)
    if access.project_id is None:
        await _create_now(call, access.dataset_id)
        row, access, counts = await counted(call, reference)
    response = await _with_updater(call, row, counts)
    response.annotated_images, response.total_annotations = counts.images, counts.annotations
    return response


def new(task_types: Sequence[str]) -> tuple[str, str, str]:
    """Say what a project begins with: its id, what each task is configured with, and no classes, both as JSON."""
    configs = json({task_type: config_at_creation(task_type) for task_type in task_types})
    return f"proj_{secrets.token_hex(6)}", configs, json({task_type: {} for task_type in task_types})


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
        if entry is not None and entry[1:] == (row["id"], row["revision"]):
            known[row["id"]] = entry[0]
    if changed := [row for row in rows if row["id"] not in known]:
        known |= await _count(connection, [row["id"] for row in changed])
        for row in changed:
            counts = known[row["id"]]
            kept.put(row["id"], (counts, row["id"], row["revision"]), _ENTRY_BYTES * (1 + len(counts.classes)))
    return known


async def _count(connection: ReadConnection, project_ids: Sequence[str]) -> dict[str, Counts]:
    found: dict[str, list[tuple[str | None, str, int, int]]] = {project_id: [] for project_id in project_ids}
    for row in await store.counts(connection, project_ids):
        line = row["task_type"], row["class_id"], row["annotations"], row["images"]
        found[row["project_id"]].append(line)
    return {project_id: _summed(lines) for project_id, lines in found.items()}


async def counted(call: Call, reference: str) -> tuple[Row, Access, Counts]:
    """Read a project with what it counts, in one statement; of a dataset without a project the row says nothing.

    Counts that are known for this revision are not computed again (see `current_counts`).
    """
    kept = call.services.caches.counts
    known = kept.get(reference)
    async with call.db.read() as connection:
        row = await store.get_counted(connection, reference, call.user_id, *(known[1:] if known else (None, None)))
    if row is None:
        raise not_found()
    access = access_of(row, call, Role.VIEWER)
    if access.project_id is None:
        return row, access, Counts(annotations=0, images=0, classes={})
    if row["counted_tasks"] is None and known is not None:
        return row, access, known[0]
    columns = (row[f"counted_{name}"] for name in ("tasks", "classes", "annotations", "images"))
    counts = _summed(zip(*columns, strict=True))
    for name in {reference, access.project_id}:  # by which it is asked for
        kept.put(name, (counts, access.project_id, row["revision"]), _ENTRY_BYTES * (1 + len(counts.classes)))
    return row, access, counts


def _summed(counted: Iterable[tuple[str | None, str, int, int]]) -> Counts:
    """Put together what was counted of a project: its classes, and all of it in the line without a task."""
    total, images = 0, 0
    classes: dict[tuple[str, str], ClassCount] = {}
    for task_type, class_id, annotations, on_images in counted:
        if task_type is None:
            total, images = annotations, on_images
        else:
            classes[task_type, class_id] = ClassCount(annotations=annotations, images=on_images)
    return Counts(annotations=total, images=images, classes=classes)


async def _create_now(call: Call, dataset_id: str) -> None:
    project_id, config, classes = new([])
    async with call.db.single() as tx:
        await store.create(
            tx,
            project_id=project_id,
            dataset_id=dataset_id,
            task_types=[],
            task_config=config,
            task_classes=classes,
            actor=call.user_id,
        )


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


_MAX_PAGE = 100  # contract#paging: a greater limit is capped in silence
_MAX_SKIP = 2**31 - 1  # more rows than there will be; keeps any number within PostgreSQL's bigint


async def create(call: Call, body: CreateProject) -> ProjectResponse:
    """Make the project of a dataset. Raises Conflict when the dataset has one, Invalid for classes without a task."""
    if call.idempotency is None:
        async with call.db.read() as connection:
            access = await authorize(connection, call, body.dataset_id, Role.OWNER, ProjectLock.NONE)
        _check_tasks(body)
        async with call.db.single() as tx:
            row = await _create(tx, call, access, body)
    else:
        async with call.db.begin() as tx:
            access = await authorize(tx, call, body.dataset_id, Role.OWNER, ProjectLock.NONE)
            _check_tasks(body)
            row = await idempotency.once(tx, call, lambda: _create(tx, call, access, body))
    return project_response(row, Counts(annotations=0, images=0, classes={}))


async def update(call: Call, reference: str, body: UpdateProject) -> ProjectResponse:
    """Change what was sent; nothing sent changes nothing."""
    if body == UpdateProject():
        async with call.db.read() as connection:
            (await authorize(connection, call, reference, Role.ADMIN, ProjectLock.NONE)).require_project_id()
    else:
        async with call.db.single() as tx:
            tx.queue_for_project(reference)
            access_held(await _update(tx, call, reference, body), call, Role.ADMIN)
    row, _, counts = await counted(call, reference)
    return project_response(row, counts)


async def page(call: Call, query: ProjectsQuery) -> tuple[list[ProjectResponse], str | None]:
    """List the projects that the caller is a member of; with the cursor of the next page."""
    after = decode_cursor(query.cursor, Position) if query.cursor else None
    limit = min(query.limit, _MAX_PAGE)
    async with call.db.read() as connection:
        place = (after.created_at, after.id) if after else None
        skip = min(query.skip, _MAX_SKIP)
        # One row more than asked for tells whether there is a next page.
        found, is_cut = await store.page(connection, call.user_id, after=place, limit=limit + 1, skip=skip)
        rows = found[:limit]
        counts = await current_counts(connection, call, rows)
    more = limit > 0 and (is_cut or len(found) > limit)
    cursor = encode_cursor(Position(rows[-1]["created_at"], rows[-1]["id"])) if more else None
    return [project_response(row, counts[row["id"]]) for row in rows], cursor


def _check_tasks(body: CreateProject) -> None:
    if len(set(body.task_types)) < len(body.task_types):
        raise invalid("names a task twice", "body", "task_types")
    for task in body.classes:
        if task not in body.task_types:
            raise invalid("is not among the task_types", "body", "classes", task)


async def _create(tx: WriteTransaction, call: Call, access: Access, body: CreateProject) -> Row:
    project_id = f"proj_{secrets.token_hex(6)}"
    configs: dict[str, object] = {task: config_at_creation(task) for task in body.task_types}
    made = await store.create(
        tx,
        project_id=project_id,
        dataset_id=access.dataset_id,
        task_types=body.task_types,
        task_config=_free(configs | body.task_config, "task_config"),
        task_classes=_classes(body),
        actor=call.user_id,
        name=body.name,
        description=body.description,
        settings=_free(body.settings or {}, "settings"),
    )
    if made is None:
        raise Conflict(
            "This dataset has a project already, and a dataset has one at most. Change that one, or delete it first.",
            code="project_exists",
        )
    return made


def _stored_classes(classes: Mapping[str, NewClass]) -> dict[str, ClassInfo]:
    """Complete the classes of a task; those without an order stand in the order in which they came."""
    return {
        class_id: ClassInfo(
            name=one.name,
            color=one.color,
            description=one.description,
            order=place if one.order is None else one.order,
        )
        for place, (class_id, one) in enumerate(classes.items())
    }


async def _update(tx: WriteTransaction, call: Call, reference: str, body: UpdateProject) -> Row | None:
    return await store.update(
        tx,
        actor(call, reference, Role.ADMIN),
        name=body.name if isinstance(body.name, str) else None,
        new_description=body.description is not UNSET,
        description=body.description if isinstance(body.description, str) else None,
        task_config=_sent(body.task_config, "task_config"),
        settings=_sent(body.settings, "settings"),
        status=body.status if isinstance(body.status, str) else None,
    )


def _sent(value: JsonObject | UnsetType, name: str) -> str | None:
    return None if isinstance(value, UnsetType) else _free(value, name)


def _free(value: Mapping[str, object], name: str) -> str:
    """Write an object of any content. Raises Invalid when it is too large."""
    text = json(value)
    # The length by itself first: looking for numbers in megabytes would hold everybody up.
    if (size := len(text)) > MAX_FREE_BYTES or (size := stored_bytes(text.encode())) > MAX_FREE_BYTES:
        raise invalid(f"takes {size} bytes as it is stored; {MAX_FREE_BYTES} are the most", "body", name)
    return text


def _classes(body: CreateProject) -> str:
    listed = {task: _stored_classes(body.classes.get(task, {})) for task in body.task_types}
    for task, classes in listed.items():
        if len(json(classes)) > MAX_CLASSES_BYTES:
            raise invalid(f"takes more than {MAX_CLASSES_BYTES} bytes", "body", "classes", task)
    return json(listed)
