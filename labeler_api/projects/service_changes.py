"""Use cases that make and change projects, and list the caller's."""

import secrets
from collections.abc import Mapping

from msgspec import UNSET, UnsetType

from labeler_api import idempotency
from labeler_api.context import Call
from labeler_api.db.pool import Row, WriteTransaction
from labeler_api.errors import Conflict, invalid
from labeler_api.http.json_rules import stored_bytes
from labeler_api.http.paging import decode_cursor, encode_cursor
from labeler_api.members.policy import Lock, Role
from labeler_api.members.service import Access, access_held, actor, authorize
from labeler_api.projects import store
from labeler_api.projects.schemas import ClassInfo, Counts, ProjectResponse, project_response
from labeler_api.projects.schemas_changes import (
    MAX_FREE_BYTES,
    CreateProject,
    JsonObject,
    Position,
    ProjectsQuery,
    UpdateProject,
)
from labeler_api.projects.schemas_classes import MAX_CLASSES_BYTES, NewClass
from labeler_api.projects.service import counted, current_counts, json
from labeler_api.projects.tasks import config_at_creation

_MAX_PAGE = 100  # contract#paging: a greater limit is capped in silence
_MAX_SKIP = 2**31 - 1  # more rows than there will be; keeps any number within PostgreSQL's bigint


async def create(call: Call, body: CreateProject) -> ProjectResponse:
    """Make the project of a dataset. Raises Conflict when the dataset has one, Invalid for classes without a task."""
    if call.idempotency is None:
        async with call.db.read() as connection:
            access = await authorize(connection, call, body.dataset_id, Role.OWNER, Lock.NONE)
        _check_tasks(body)
        async with call.db.single() as tx:
            row = await _create(tx, call, access, body)
    else:
        async with call.db.begin() as tx:
            access = await authorize(tx, call, body.dataset_id, Role.OWNER, Lock.NONE)
            _check_tasks(body)
            row = await idempotency.once(tx, call, lambda: _create(tx, call, access, body))
    return project_response(row, Counts(annotations=0, images=0, classes={}))


async def update(call: Call, reference: str, body: UpdateProject) -> ProjectResponse:
    """Change what was sent; nothing sent changes nothing."""
    if body == UpdateProject():
        async with call.db.read() as connection:
            _ = (await authorize(connection, call, reference, Role.ADMIN, Lock.NONE)).project
    else:
        async with call.db.single() as tx:
            tx.stand_in_line(reference)
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
