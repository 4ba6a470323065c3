"""Use cases of datasets."""

import secrets

from labeler_api.context import Call
from labeler_api.datasets import store
from labeler_api.datasets.schemas import (
    CreateDataset,
    DatasetResponse,
    DatasetsQuery,
    Position,
    SizeResponse,
    UpdateDataset,
    dataset_response,
    size_response,
)
from labeler_api.db.pool import Row, WriteTransaction
from labeler_api.errors import invalid
from labeler_api.http.paging import decode_cursor, encode_cursor
from labeler_api.idempotency import keys as idempotency
from labeler_api.members.authorization.service import access_of, authorize, not_found, role_changed
from labeler_api.members.policy import ProjectLock, Role
from labeler_api.projects import service as projects
from labeler_api.projects.schemas import ProjectResponse

_MAX_PAGE = 100  # contract#paging: a greater limit is capped in silence
_MAX_SKIP = 2**31 - 1  # more rows than there will be; keeps any number within PostgreSQL's bigint


async def create(call: Call, body: CreateDataset) -> DatasetResponse:
    """Make a dataset, its project, the owner's role and each task's configuration: all of them or none."""
    task_types = body.task_types or []
    if len(set(task_types)) < len(task_types):
        raise invalid("names a task twice", "body", "task_types")
    async with idempotency.transaction(call) as tx:
        row = await idempotency.once(tx, call, lambda: _create(tx, call, body))
    return dataset_response(row, call.principal.profile)


async def _create(tx: WriteTransaction, call: Call, body: CreateDataset) -> Row:
    task_types = body.task_types or []
    project_id, config, classes = projects.new(task_types)
    return await store.create(
        tx,
        store.NewProject(project_id, task_types, config, classes),
        dataset_id=f"ds_{secrets.token_hex(8)}",
        name=body.name,
        description=body.description,
        owner_id=call.user_id,
        visibility=body.visibility or "private",
    )


async def page(call: Call, query: DatasetsQuery) -> tuple[list[DatasetResponse], str | None]:
    """List what the caller owns, is a member of, or may see because it is public; with the cursor of the next page."""
    after = decode_cursor(query.cursor, Position) if query.cursor else None
    limit = min(query.limit, _MAX_PAGE)
    async with call.db.read() as connection:
        # One row more than asked for tells whether there is a next page.
        place = (after.created_at, after.id) if after else None
        skip = min(query.skip, _MAX_SKIP)
        found, is_cut = await store.page(connection, call.user_id, after=place, limit=limit + 1, skip=skip)
    rows = found[:limit]
    more = limit > 0 and (is_cut or len(found) > limit)
    cursor = encode_cursor(Position(rows[-1]["created_at"], rows[-1]["id"])) if more else None
    owners = await call.directory.get_many({row["owner_id"] for row in rows}, timeout=call.remaining_seconds)
    return [dataset_response(row, owners.get(row["owner_id"])) for row in rows], cursor


async def get(call: Call, reference: str) -> DatasetResponse:
    """Return a dataset."""
    async with call.db.read() as connection:
        row = await store.get(connection, reference, call.user_id)
    if row is None:
        raise not_found()
    access_of(row, call, Role.VIEWER)
    owners = await call.directory.get_many([row["owner_id"]], timeout=call.remaining_seconds)
    return dataset_response(row, owners.get(row["owner_id"]))


async def update(call: Call, reference: str, body: UpdateDataset) -> DatasetResponse:
    """Change a dataset's name, description and visibility; its project keeps its own name."""
    async with call.db.read() as connection:
        access = await authorize(connection, call, reference, Role.OWNER, ProjectLock.NONE)
    async with call.db.single() as tx:
        row = await store.update(
            tx,
            access.dataset_id,
            (access.project_id, access.member_id, access.role.text),
            name=body.name,
            description=body.description,
            visibility=body.visibility or None,
        )
    if row is None:  # deleted or transferred since the access was checked: the next look says which
        raise role_changed()
    owners = await call.directory.get_many([row["owner_id"]], timeout=call.remaining_seconds)
    return dataset_response(row, owners.get(row["owner_id"]))


async def project(call: Call, reference: str) -> ProjectResponse:
    """Return the project of a dataset, made now where there is none."""
    return await projects.of_dataset(call, reference)


async def size(call: Call, reference: str) -> SizeResponse:
    """Say how many images a dataset has and how large they are."""
    async with call.db.read() as connection:
        row = await store.size(connection, reference, call.user_id)
    if row is None:
        raise not_found()
    access_of(row, call, Role.VIEWER)
    return size_response(row["images"], row["bytes"])
