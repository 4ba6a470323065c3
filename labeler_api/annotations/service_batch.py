"""Many annotations at once: each item is judged for itself, and what passes is one transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from msgspec.json import encode

from labeler_api import idempotency
from labeler_api.annotations import store_batch, store_ledger
from labeler_api.annotations.schemas import AnnotationCreate, AnnotationDraft
from labeler_api.annotations.schemas_batch import BatchCreate, BatchResponse
from labeler_api.annotations.service import draft_of, size_of, sizes_checked
from labeler_api.annotations.store_ledger import ConfirmationEffect, StatusChange
from labeler_api.context import Call
from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.errors import AppError, Forbidden, NotFound, invalid
from labeler_api.http.json_rules import SHORT_BYTES
from labeler_api.locks.service import claim_each
from labeler_api.members.policy import Lock, Role
from labeler_api.members.service import Access, authorize, not_found, role_changed

_CHECKED_AT_ONCE = 200  # on the event loop: some milliseconds of work
_MAX_PROJECTS = 100  # each is one question for the caller's role, and one lock


# A sentence; some quote what was sent, and ten thousand of them are one answer.
_ERROR_CHARACTERS = 400


@dataclass(slots=True)
class _Batch:
    """The items that are left, by their index, and what is wrong with the others."""

    drafts: dict[int, AnnotationDraft] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    made: dict[int, int] = field(default_factory=dict)

    def refuse(self, index: int, error: AppError) -> None:
        self.drafts.pop(index, None)
        self.refused[index] = error.detail


async def create(call: Call, body: BatchCreate) -> BatchResponse:
    """Add annotations, of several projects if need be. An item that is refused does not stop the others."""
    items = body.annotations
    if len(items) > _CHECKED_AT_ONCE or sum(map(size_of, items)) > SHORT_BYTES:
        drafts = await call.services.judging.run(call.user_id, _drafts, items)
    else:
        drafts = _drafts(items)
    async with call.db.begin() as tx:
        allowed = await accesses(tx, call, (item.project_id for item in body.annotations), Role.ANNOTATOR)
        row = await idempotency.once(tx, call, lambda: _create(tx, call, body.annotations, drafts, allowed))
    return BatchResponse(**row)


def _drafts(items: Sequence[AnnotationCreate]) -> list[AnnotationDraft | AppError]:
    """Check each item. Many or long ones in a thread: ten thousand take a good part of a second."""
    drafts: list[AnnotationDraft | AppError] = []
    for item in items:
        try:
            sizes_checked(item)
            drafts.append(draft_of(item))
        except AppError as error:
            drafts.append(error)
    return drafts


async def _create(
    tx: WriteTransaction,
    call: Call,
    items: Sequence[AnnotationCreate],
    drafts: Sequence[AnnotationDraft | AppError],
    allowed: Mapping[str, Access | AppError],
) -> Row:
    batch, projects = _Batch(), dict[str, tuple[Access, list[int]]]()
    for index, (item, draft) in enumerate(zip(items, drafts, strict=True)):
        access = allowed[item.project_id]
        if isinstance(access, AppError):
            batch.refuse(index, access)
        elif isinstance(draft, AppError):
            batch.refuse(index, draft)
        elif access.project_id is None:
            batch.refuse(index, not_found())
        else:
            batch.drafts[index] = draft
            projects.setdefault(access.project_id, (access, []))[1].append(index)
    for _, (access, indexes) in sorted(projects.items()):  # in one order everywhere, so that no two batches cross
        await _fill(tx, call, access, indexes, batch)
    return {
        "created": len(batch.made),
        "failed": len(batch.refused),
        "annotation_ids": [batch.made[index] for index in sorted(batch.made)],
        "errors": [f"Index {index}: {batch.refused[index]}"[:_ERROR_CHARACTERS] for index in sorted(batch.refused)],
    }


async def _fill(tx: WriteTransaction, call: Call, access: Access, indexes: list[int], batch: _Batch) -> None:
    """Insert a project's items, but those on images that somebody else holds or that are not there."""
    tx.stand_in_line(access.project)
    try:
        await authorize(tx, call, access.project, Role.ANNOTATOR, Lock.ROLE)
    except (NotFound, Forbidden):  # it was enough a moment ago: the next look says so of this project's items alone
        raise role_changed() from None
    refused = await claim_each(tx, call, access, [batch.drafts[index].image_id for index in indexes])
    for index in indexes:
        if error := refused.get(batch.drafts[index].image_id):
            batch.refuse(index, error)
    wanted = {index: batch.drafts[index] for index in indexes if index in batch.drafts}
    if not wanted:
        return
    ids = await store_batch.insert(tx, access.project, call.user_id, encode(list(wanted.values())).decode())
    batch.made |= dict(zip(wanted, ids, strict=True))
    await store_ledger.refresh_progress(tx, access.project, _added(wanted.values()), call.user_id)


def _added(drafts: Iterable[AnnotationDraft]) -> list[StatusChange]:
    """Sum the new annotations of each image and task; a draft among them unconfirms it."""

    def place(draft: AnnotationDraft) -> tuple[str, str]:
        return draft.image_id, draft.task_type

    changes = []
    for (image_id, task_type), group in groupby(sorted(drafts, key=place), place):
        states = [draft.annotation_state for draft in group]
        effect = ConfirmationEffect.CLEAR if "draft" in states else ConfirmationEffect.KEEP
        changes.append(StatusChange(image_id, task_type, effect, added=len(states)))
    return changes


async def accesses(
    connection: ReadConnection, call: Call, references: Iterable[str], minimum: Role
) -> dict[str, Access | AppError]:
    """Find the caller's access to each project or dataset, or the refusal: one statement for each of them."""
    distinct = list(dict.fromkeys(references))
    if len(distinct) > _MAX_PROJECTS:
        raise invalid(f"names {len(distinct)} projects; {_MAX_PROJECTS} are the most", "body", code="too_many_projects")
    found: dict[str, Access | AppError] = {}
    for reference in distinct:
        try:
            found[reference] = await authorize(connection, call, reference, minimum, Lock.NONE)
        except (NotFound, Forbidden) as error:
            found[reference] = error
    return found
