"""Many annotations at once: each item is judged for itself, and what passes is one transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec.json import encode

from labeler_api.annotations.batch import store
from labeler_api.annotations.batch.schemas import BatchCreate, BatchResponse
from labeler_api.annotations.editing.schemas import AnnotationCreate
from labeler_api.annotations.editing.service import draft_of, size_of, sizes_checked
from labeler_api.context import Call
from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.errors import AppError, Forbidden, NotFound, invalid
from labeler_api.http.input.json_rules import SHORT_BYTES
from labeler_api.idempotency import keys as idempotency
from labeler_api.locks.image_locks.lease import WRITE_LEASE_SECONDS
from labeler_api.locks.image_locks.service import refusal_text
from labeler_api.members.authorization.service import Access, access_held, actor, authorize, not_found, role_changed
from labeler_api.members.policy import ProjectLock, Role
from labeler_api.text.names import quoted

_CHECKED_AT_ONCE = 200  # on the event loop: some milliseconds of work
_MAX_PROJECTS = 100  # each is one question for the caller's role, and one lock


# A sentence; some quote what was sent, and ten thousand of them are one answer.
_ERROR_CHARACTERS = 400


class _Draft(NamedTuple):
    """An item that is in order: its image's id, the same quoted for a refusal, and what the database is given.

    Both are made where the item is checked. Of ten thousand items they would hold the event loop for too long.
    """

    image_id: str
    image: str
    json: bytes


@dataclass(slots=True)
class _Batch:
    """What became of the items, by their index: the ids of those that were made, and what is wrong with the others."""

    made: dict[int, int] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)

    def refuse(self, index: int, why: str) -> None:
        self.refused[index] = why

    def answer(self) -> Row:
        return {
            "created": len(self.made),
            "failed": len(self.refused),
            "annotation_ids": [self.made[index] for index in sorted(self.made)],
            "errors": [f"Index {index}: {self.refused[index]}"[:_ERROR_CHARACTERS] for index in sorted(self.refused)],
        }


async def create(call: Call, body: BatchCreate) -> BatchResponse:
    """Add annotations, of several projects if need be. An item that is refused does not stop the others."""
    items = body.annotations
    if len(items) > _CHECKED_AT_ONCE or sum(map(size_of, items)) > SHORT_BYTES:
        drafts = await call.services.json_threads.run(call.user_id, _drafts, items)
    else:
        drafts = _drafts(items)
    references = distinct_projects(item.project_id for item in items)
    if call.idempotency is None and len(references) == 1:
        async with call.db.single() as tx:
            return BatchResponse(**await _create_in_one(tx, call, references[0], drafts))
    async with call.db.begin() as tx:
        allowed = await accesses(tx, call, references, Role.ANNOTATOR)
        row = await idempotency.once(tx, call, lambda: _create_in_each(tx, call, items, drafts, allowed))
    return BatchResponse(**row)


def _drafts(items: Sequence[AnnotationCreate]) -> list[_Draft | AppError]:
    """Check each item. Many or long ones in a thread: ten thousand take a good part of a second."""
    drafts: list[_Draft | AppError] = []
    for item in items:
        try:
            sizes_checked(item)
            drafts.append(_Draft(item.image_id, quoted(item.image_id), encode(draft_of(item))))
        except AppError as error:
            drafts.append(error)
    return drafts


async def _create_in_one(tx: WriteTransaction, call: Call, reference: str, drafts: Sequence[_Draft | AppError]) -> Row:
    """Make all items in one project. If the caller may not write to it, each item says so."""
    batch = _Batch()
    try:
        await _fill(tx, call, reference, dict(enumerate(drafts)), batch)
    except NotFound:
        refused: AppError = not_found()
    except Forbidden as error:
        refused = error
    else:
        return batch.answer()
    for index in range(len(drafts)):
        batch.refuse(index, refused.detail)
    return batch.answer()


async def _create_in_each(
    tx: WriteTransaction,
    call: Call,
    items: Sequence[AnnotationCreate],
    drafts: Sequence[_Draft | AppError],
    allowed: Mapping[str, Access | AppError],
) -> Row:
    batch, projects = _Batch(), dict[str, dict[int, _Draft | AppError]]()
    gone = not_found().detail
    for index, (item, draft) in enumerate(zip(items, drafts, strict=True)):
        access = allowed[item.project_id]
        if isinstance(access, AppError):
            batch.refuse(index, access.detail)
        elif access.project_id is None:
            batch.refuse(index, draft.detail if isinstance(draft, AppError) else gone)
        else:
            projects.setdefault(access.project_id, {})[index] = draft
    for project, wanted in sorted(projects.items()):  # in one order everywhere, so that no two batches cross
        try:
            await _fill(tx, call, project, wanted, batch)
        except (NotFound, Forbidden):  # it was enough a moment ago: the next look says so of this project's items alone
            raise role_changed() from None
    return batch.answer()


async def _fill(
    tx: WriteTransaction, call: Call, project: str, items: Mapping[int, _Draft | AppError], batch: _Batch
) -> None:
    """Insert a project's items, but those on images that somebody else holds or that are not there."""
    wanted = {index: draft for index, draft in items.items() if not isinstance(draft, AppError)}
    tx.queue_for_project(project)
    text = f"[{b','.join(draft.json for draft in wanted.values()).decode()}]"
    row = await store.insert(tx, actor(call, project, Role.ANNOTATOR), text, WRITE_LEASE_SECONDS)
    access_held(row, call, Role.ANNOTATOR)
    assert row is not None  # noqa: S101 - it was just judged
    found = zip(row["refused"] or (), row["reasons"] or (), strict=True)
    refused = {lock["image_id"]: reason for lock, reason in found}
    for (index, draft), made in zip(wanted.items(), row["ids"], strict=True):
        if made is None:
            batch.refuse(index, refusal_text(refused[draft.image_id], draft.image))
        else:
            batch.made[index] = made
    for index, error in items.items():
        if isinstance(error, AppError):
            batch.refuse(index, error.detail)


def distinct_projects(references: Iterable[str]) -> list[str]:
    """List each project or dataset once. Raises Invalid for too many."""
    distinct = list(dict.fromkeys(references))
    if len(distinct) > _MAX_PROJECTS:
        raise invalid(f"names {len(distinct)} projects; {_MAX_PROJECTS} are the most", "body", code="too_many_projects")
    return distinct


async def accesses(
    connection: ReadConnection, call: Call, references: Iterable[str], minimum: Role
) -> dict[str, Access | AppError]:
    """Find the caller's access to each project or dataset, or the refusal: one statement for each of them."""
    found: dict[str, Access | AppError] = {}
    for reference in references:
        try:
            found[reference] = await authorize(connection, call, reference, minimum, ProjectLock.NONE)
        except (NotFound, Forbidden) as error:
            found[reference] = error
    return found
