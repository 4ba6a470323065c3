"""Confirming: one annotation, many, or all of an image. No write in the sense of locks (contract#progress)."""

from collections.abc import Mapping, Sequence

from labeler_api.annotations.batch.service import distinct_projects
from labeler_api.annotations.editing.schemas import name_of
from labeler_api.annotations.editing.service import may_not_change, no_annotation_text, set_state
from labeler_api.annotations.history.ledger import ConfirmationEffect
from labeler_api.annotations.review import store
from labeler_api.annotations.review.schemas import (
    BulkConfirm,
    BulkConfirmResponse,
    ConfirmResponse,
    ImageConfirmResponse,
    image_confirm,
)
from labeler_api.context import Call
from labeler_api.db.pool import Row, WriteTransaction
from labeler_api.errors import BadRequest, NotFound
from labeler_api.locks.image_locks.service import check_claimed, image_not_found, naming_the_holder, refusal_text
from labeler_api.members.authorization.service import Access, access_held, access_of, actor, actor_as_seen
from labeler_api.members.policy import Role
from labeler_api.text.names import quoted


async def confirm(call: Call, annotation_id: int) -> ConfirmResponse:
    """Confirm an annotation; after the task's last draft on the image this confirms the image, too."""
    return await _set_state(call, annotation_id, "confirmed", ConfirmationEffect.CONFIRM_IF_COMPLETE)


async def unconfirm(call: Call, annotation_id: int) -> ConfirmResponse:
    """Make an annotation a draft again; the image is no longer confirmed in that task."""
    return await _set_state(call, annotation_id, "draft", ConfirmationEffect.CLEAR)


async def confirm_image(call: Call, project: str, image_id: str, task_type: str | None) -> ImageConfirmResponse:
    """Confirm an image in a task, or in each task that has annotations on it, and the drafts with it."""
    row = await _set_state_of_image(call, project, image_id, task_type, "confirmed", ConfirmationEffect.CONFIRM)
    if row["outcome"] != "done":
        what = f"no annotation of the task {quoted(task_type)}" if task_type else "no annotation"
        raise BadRequest(f"The image {quoted(image_id)} has {what} to confirm.", code="nothing_to_confirm")
    return image_confirm(image_id, row)


async def unconfirm_image(call: Call, project: str, image_id: str, task_type: str | None) -> ImageConfirmResponse:
    """Make drafts of what is confirmed on an image, and take the image's confirmation back.

    An image without annotations is not confirmed, and stays so. Raises NotFound for one that the dataset does not have.
    """
    row = await _set_state_of_image(call, project, image_id, task_type, "draft", ConfirmationEffect.CLEAR)
    if row["outcome"] == "missing":
        raise image_not_found(image_id)
    return image_confirm(image_id, row)


async def confirm_many(call: Call, body: BulkConfirm) -> BulkConfirmResponse:
    """Confirm annotations: the caller's own, or as a reviewer anybody's. Each refused one has its reason."""
    ids = list(dict.fromkeys(body.annotation_ids))
    allowed, refused = await _confirmable(call, ids)
    done: dict[int, ConfirmResponse] = {}
    # Several projects are one transaction all the same: all of it, or nothing.
    async with call.db.begin() if len(allowed) > 1 else call.db.single() as tx:
        for _, (access, wanted) in sorted(allowed.items()):  # in one order everywhere, so that no two calls cross
            done |= await _confirm_in_project(tx, call, access, wanted, refused)
    for annotation_id in ids:
        if annotation_id not in done:
            refused.setdefault(annotation_id, no_annotation_text(annotation_id))
    return BulkConfirmResponse(
        confirmed=len(done),
        failed=len(refused),
        results=[done[annotation_id] for annotation_id in ids if annotation_id in done],
        errors=[f"Annotation {n}: {refused[n]}" for n in ids if n in refused],
    )


async def _confirmable(
    call: Call, ids: Sequence[int]
) -> tuple[dict[str, tuple[Access, dict[int, str]]], dict[int, str]]:
    """Sort annotations, with their images, by project; what does not exist, or is hidden, is in neither.

    Of those that are refused the sentences are made, once for each project: an exception for each annotation would hold
    the event loop.
    """
    allowed: dict[str, tuple[Access, dict[int, str]]] = {}
    refused: dict[int, str] = {}
    async with call.db.read() as connection:
        found = await store.find(connection, ids, call.user_id)
    of_projects = {row["project_id"]: row for row in found}
    known = {project: _judged(of_projects[project], call) for project in distinct_projects(of_projects)}
    for row in found:
        judged = known[row["project_id"]]
        if judged is None:
            continue
        access, whys = judged
        if why := whys[row["created_by"] == call.user_id]:
            refused[row["id"]] = why
        else:
            allowed.setdefault(row["project_id"], (access, {}))[1][row["id"]] = row["image_id"]
    return allowed, refused


def _judged(row: Row, call: Call) -> tuple[Access, dict[bool, str | None]] | None:
    """Return the access to a project, and why own annotations and those of others may not be changed there."""
    try:
        access = access_of(row, call, Role.VIEWER)
    except NotFound:
        return None
    return access, {is_own: may_not_change(access, is_own=is_own) for is_own in (True, False)}


async def _confirm_in_project(
    tx: WriteTransaction, call: Call, access: Access, wanted: Mapping[int, str], refused: dict[int, str]
) -> dict[int, ConfirmResponse]:
    """Confirm annotations, given with their images; those on an image that an import is at work on are refused."""
    tx.queue_for_project(access.require_project_id())
    images = sorted(set(wanted.values()))
    row = await store.confirm_many(tx, actor_as_seen(call, access), list(wanted), images)
    access_held(row, call, Role.VIEWER)
    assert row is not None  # noqa: S101 - it was just judged
    busy = {lock["image_id"]: refusal_text("importing", quoted(lock["image_id"])) for lock in row["busy"]}
    refused |= {annotation_id: busy[image] for annotation_id, image in wanted.items() if image in busy}
    at, by, name = row["confirmed_at"], call.user_id, call.principal.profile.full_name
    return {one: ConfirmResponse(one, "confirmed", at, by, name) for one in row["ids"]}


async def _set_state(call: Call, annotation_id: int, state: str, effect: ConfirmationEffect) -> ConfirmResponse:
    row = await set_state(call, annotation_id, state, effect)
    ids = [row["confirmed_by"]] if row["confirmed_by"] is not None else []
    users = await call.directory.get_many(ids, timeout=call.remaining_seconds)
    return _confirmed(row, name_of(users, row["confirmed_by"]))


async def _set_state_of_image(
    call: Call, project: str, image_id: str, task_type: str | None, state: str, effect: ConfirmationEffect
) -> Row:
    """Change what is drawn on an image; return its statuses, taken together, or why there is nothing to change."""
    reviewer = actor(call, project, Role.REVIEWER)
    async with naming_the_holder(call), call.db.single() as tx:
        tx.queue_for_project(project)
        row = await store.set_state_of_image(tx, reviewer, image_id, task_type, state, effect.value)
        access = access_held(row, call, Role.REVIEWER)
        assert row is not None  # noqa: S101 - it was just judged
        tx.alias_dataset(access.dataset_id, access.require_project_id())
        if row["outcome"] == "importing":
            check_claimed(row, image_id)
    return row


def _confirmed(row: Row, name: str | None) -> ConfirmResponse:
    return ConfirmResponse(
        annotation_id=row["id"],
        annotation_state=row["annotation_state"],
        confirmed_at=row["confirmed_at"],
        confirmed_by=row["confirmed_by"],
        confirmed_by_name=name,
    )
