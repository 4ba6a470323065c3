"""Annotations: create, read, change, delete, list. Who may do what: docs/access.md."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from sys import intern
from typing import Any

from msgspec import UNSET, Raw
from msgspec.json import encode
from msgspec.structs import replace

from labeler_api.annotations.editing import store
from labeler_api.annotations.editing.schemas import (
    AnnotationCreate,
    AnnotationDraft,
    AnnotationResponse,
    AnnotationUpdate,
    DeletedResponse,
    VersionConflict,
    annotation_response,
    user_ids,
)
from labeler_api.annotations.geometry import NO_OBJECT, attributes_of, check_sizes, checked_shape, task_of
from labeler_api.annotations.history.ledger import ConfirmationEffect
from labeler_api.context import Call
from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.errors import AppError, BadRequest, Conflict, Forbidden, NotFound, NothingMatched, invalid
from labeler_api.http.input.json_rules import SHORT_BYTES
from labeler_api.idempotency import keys as idempotency
from labeler_api.locks.image_locks.lease import WRITE_LEASE_SECONDS
from labeler_api.locks.image_locks.service import check_claimed, naming_the_holder
from labeler_api.members.authorization.service import (
    Access,
    access_held,
    access_of,
    authorize,
    role_changed,
    roles_from,
    system_admin_allowed,
)
from labeler_api.members.policy import ProjectLock, Role
from labeler_api.resilience.caches import AnnotationKind

_VERSION = re.compile(r"[0-9]{1,10}")
_NO_ATTRIBUTES = Raw(b"{}")


async def create(call: Call, body: AnnotationCreate) -> AnnotationResponse:
    """Add an annotation: a draft, or a `no_object` that its creator confirms with it.

    The frontend undoes a deletion by creating the same again, and then edits the old id: one that equals what the
    caller deleted a short while ago comes back, as a draft.
    """
    await _check_sizes(call, body)
    async with naming_the_holder(call):
        # A key has to be claimed between the look at the access and the write; and a task may have to be found there.
        in_steps = call.idempotency is not None or lacks_task(body)
        row = await (_create_in_steps(call, body) if in_steps else _create(call, body))
    return await response(call, row)


async def _create(call: Call, body: AnnotationCreate) -> Row:
    draft = draft_of(body)
    async with call.db.single() as tx:
        tx.queue_for_project(body.project_id)
        return await _insert(tx, call, draft, body.project_id)


async def _create_in_steps(call: Call, body: AnnotationCreate) -> Row:
    async with call.db.begin() as tx:
        tx.queue_for_project(body.project_id)
        access = await authorize(tx, call, body.project_id, Role.ANNOTATOR, ProjectLock.ROLE)
        return await idempotency.once(tx, call, lambda: _create_with_task(tx, call, access, body))


async def _create_with_task(tx: WriteTransaction, call: Call, access: Access, body: AnnotationCreate) -> Row:
    if lacks_task(body):
        of_others = access.role >= Role.REVIEWER
        task = await store.task_of_undone(
            tx, access.require_project_id(), call.user_id, body.image_id, of_others=of_others
        )
        body = replace(body, attributes=with_task(body, task) if task is not None else body.attributes)
    return await _insert(tx, call, draft_of(body), access.require_project_id())


async def _insert(tx: WriteTransaction, call: Call, draft: AnnotationDraft, reference: str) -> Row:
    row = await store.create(tx, writer(call), reference, encode(draft).decode(), WRITE_LEASE_SECONDS)
    access = access_held(row, call, Role.ANNOTATOR)
    tx.alias_dataset(access.dataset_id, access.require_project_id())
    made = _check_claim(row, draft.image_id)
    _remember(call, made)
    return made


async def get(call: Call, annotation_id: int) -> AnnotationResponse:
    """Return one annotation."""
    async with call.db.read() as connection:
        row = await store.find_for(connection, annotation_id, call.user_id)
    access_to(row, call, annotation_id)
    assert row is not None  # noqa: S101 - its access was judged
    return await response(call, row)


async def update(call: Call, annotation_id: int, body: AnnotationUpdate) -> AnnotationResponse:
    """Change what was sent. Raises, in this order: NotFound, Forbidden, Locked, Conflict on another version."""
    version = expected_version(call, body.version if isinstance(body.version, int) else None)
    await _check_sizes(call, body)
    kind, checked = await _checked_for(call, annotation_id, body)
    change = encode(checked).decode()
    async with _saying_what_was_missed(call, annotation_id, version), call.db.single() as tx:
        tx.queue_for_project(kind.project_id)
        row = await store.update(tx, writer(call), annotation_id, version, change, WRITE_LEASE_SECONDS)
        changed = check_write_result(call, row, annotation_id)
    return await response(call, changed)


async def delete(call: Call, annotation_id: int) -> DeletedResponse:
    """Delete an annotation; its history keeps it. Raises as `update` does."""
    version = expected_version(call, None)
    kind = _known(call, annotation_id) or await _found(call, annotation_id)
    async with _saying_what_was_missed(call, annotation_id, version), call.db.single() as tx:
        tx.queue_for_project(kind.project_id)
        row = await store.delete(tx, writer(call), annotation_id, version, WRITE_LEASE_SECONDS)
        check_write_result(call, row, annotation_id)
    return DeletedResponse(message=f"Annotation {annotation_id} was deleted.")


async def set_state(call: Call, annotation_id: int, state: str, effect: ConfirmationEffect) -> Row:
    """Confirm an annotation ("confirmed") or make it a draft again ("draft"). Raises NotFound and Forbidden."""
    kind = _known(call, annotation_id) or await _found(call, annotation_id)
    async with call.db.single() as tx:
        tx.queue_for_project(kind.project_id)
        row = await store.set_state(tx, writer(call), annotation_id, state, effect.value)
        return check_write_result(call, row, annotation_id)


def writer(call: Call) -> store.Writer:
    """Say who writes, and which roles let them: their own annotations as an annotator, anybody's as a reviewer."""
    own, others = roles_from(Role.ANNOTATOR), roles_from(Role.REVIEWER)
    return store.Writer(call.user_id, own, others, system_admin_allowed(call, Role.REVIEWER))


def check_write_result(call: Call, row: Row | None, annotation_id: int) -> Row:
    """Return what a function of the database has written. Raises why it has not."""
    if row is None or row["outcome"] == "gone":
        raise no_annotation(annotation_id)
    try:
        access = access_held({**row, "outcome": "held"}, call, Role.VIEWER)
    except NotFound:
        raise no_annotation(annotation_id) from None
    if row["outcome"] in {"refused", "changed"}:
        check_may_change(call, access, row["created_by"])
        raise role_changed()
    return _check_claim(row, row["image_id"])


def _check_claim(row: Row | None, image_id: str) -> Row:
    assert row is not None  # noqa: S101 - its access was judged
    check_claimed(row, image_id)
    return {name: value for name, value in row.items() if name != "lock"}  # an answer that is kept has no lock


@asynccontextmanager
async def _saying_what_was_missed(call: Call, annotation_id: int, version: int | None) -> AsyncIterator[None]:
    """Say why a write found nothing to write to, and who holds the image."""
    async with naming_the_holder(call):
        try:
            yield
        except NothingMatched:
            async with call.db.read() as connection:
                raise await _missed(connection, annotation_id, version) from None


def access_to(row: Row | None, call: Call, annotation_id: int) -> Access:
    """Judge what was found of an annotation. Raises NotFound, the same for one that the caller may not know of."""
    if row is None:
        raise no_annotation(annotation_id)
    try:
        return access_of(row, call, Role.VIEWER)
    except NotFound:
        raise no_annotation(annotation_id) from None


async def _checked_for(
    call: Call, annotation_id: int, body: AnnotationUpdate
) -> tuple[AnnotationKind, AnnotationUpdate]:
    """Check a change of an annotation. What is wrong is told only to callers who may change the annotation."""
    if (known := _known(call, annotation_id)) is not None:
        with suppress(AppError):
            return known, _checked_change(known, body)
    found = await _found(call, annotation_id)
    return found, _checked_change(found, body)


def _known(call: Call, annotation_id: int) -> AnnotationKind | None:
    """What this process knows of an annotation. The write itself judges whether it is there, and who may change it."""
    return call.services.caches.kinds.get(annotation_id)


async def _found(call: Call, annotation_id: int) -> AnnotationKind:
    """Find an annotation that the caller may change: their own as an annotator, anybody's as a reviewer."""
    async with call.db.read() as connection:
        row = await store.find_kind(connection, annotation_id, call.user_id)
    access = access_to(row, call, annotation_id)
    assert row is not None  # noqa: S101 - its access was judged
    check_may_change(call, access, row["created_by"])
    return _remember(call, {**row, "id": annotation_id, "project_id": access.require_project_id()})


def _remember(call: Call, row: Row) -> AnnotationKind:
    # One copy of each word, whoever sends it.
    kind = AnnotationKind(*(intern(row[name]) for name in AnnotationKind._fields))
    call.services.caches.kinds.put(row["id"], kind)
    return kind


def check_may_change(call: Call, access: Access, created_by: int | None) -> None:
    """Raise Forbidden unless the caller may change an annotation that this user made."""
    if text := may_not_change(access, is_own=created_by == call.user_id):
        raise Forbidden(text, code="role_too_low")


def may_not_change(access: Access, *, is_own: bool) -> str | None:
    """Say why the caller may not change annotations of their own, or of others; None where they may."""
    minimum = Role.ANNOTATOR if is_own else Role.REVIEWER
    if access.role >= minimum:
        return None
    whose = "your own annotations" if is_own else "annotations of others"
    return f"Changing {whose} needs the role {minimum.text} on the project; yours is {access.role.text}."


def draft_of(body: AnnotationCreate) -> AnnotationDraft:
    """Check a new annotation, but for its size, and find its task. Raises BadRequest and Invalid."""
    attributes = body.attributes if isinstance(body.attributes, Raw) else _NO_ATTRIBUTES
    if bytes(attributes) == b"null":  # contract#annotations: as if it were not sent
        attributes = _NO_ATTRIBUTES
    task = task_of(body.annotation_type, attributes_of(attributes))
    geometry = checked_shape(body.annotation_type, body.geometry)
    return AnnotationDraft(
        image_id=body.image_id,
        annotation_type=body.annotation_type,
        task_type=task,
        geometry=geometry,
        attributes=attributes,
        class_id=body.class_id,
        class_name=body.class_name,
        confidence=body.confidence,
        notes=body.notes,
        annotation_state="confirmed" if body.annotation_type == NO_OBJECT else "draft",
    )


def lacks_task(body: AnnotationCreate) -> bool:
    """Whether it is a `no_object` that does not say which task it is about."""
    if body.annotation_type != NO_OBJECT:
        return False
    return "task_type" not in _members(body)


def with_task(body: AnnotationCreate, task: str) -> Raw:
    """The attributes of a `no_object` with its task."""
    return Raw(encode({**_members(body), "task_type": task}))


def _members(body: AnnotationCreate) -> dict[str, Any]:
    if not isinstance(body.attributes, Raw) or bytes(body.attributes) == b"null":
        return {}
    return attributes_of(body.attributes)


def sizes_checked(body: AnnotationCreate | AnnotationUpdate) -> None:
    """Raise Invalid when a part is larger than it may be."""
    check_sizes(*_parts(body))


def size_of(body: AnnotationCreate | AnnotationUpdate) -> int:
    """How many bytes the parts have whose numbers have to be looked at."""
    return sum(memoryview(part).nbytes for part in _parts(body))


async def _check_sizes(call: Call, body: AnnotationCreate | AnnotationUpdate) -> None:
    if size_of(body) > SHORT_BYTES:  # before a connection is held, too
        await call.services.json_threads.run(call.user_id, sizes_checked, body)
    else:
        sizes_checked(body)


def _parts(body: AnnotationCreate | AnnotationUpdate) -> tuple[Raw, Raw]:
    geometry = body.geometry if isinstance(body.geometry, Raw) else _NO_ATTRIBUTES
    return geometry, body.attributes if isinstance(body.attributes, Raw) else _NO_ATTRIBUTES


def _checked_change(kind: AnnotationKind, body: AnnotationUpdate) -> AnnotationUpdate:
    """Check the parts whose form depends on the annotation's type, and return what is to be stored."""
    change = replace(body, version=UNSET)
    if isinstance(body.geometry, Raw):
        change.geometry = checked_shape(kind.annotation_type, body.geometry)
    if isinstance(body.attributes, Raw):
        attributes = attributes_of(body.attributes)
        if kind.annotation_type == NO_OBJECT and task_of(NO_OBJECT, attributes) != kind.task_type:
            raise BadRequest(
                "A no_object annotation stays with its task. Delete it and make one for the other task.",
                code="task_fixed",
            )
    return change


def expected_version(call: Call, in_body: int | None) -> int | None:
    """Read the version that the caller saw: from the body, or from `If-Match: "3"`. None: the last write wins."""
    if call.if_match is None or call.if_match.strip() == "*":
        return in_body
    header = call.if_match.strip().removeprefix("W/")
    header = header[1:-1] if header.startswith('"') and header.endswith('"') else header
    if not _VERSION.fullmatch(header) or int(header) >= 2**31:
        raise invalid('has to hold the version of the annotation, as in If-Match: "3"', "header", "if-match")
    if in_body is not None and in_body != int(header):
        raise invalid("contradicts the version in the body", "header", "if-match")
    return int(header)


async def _missed(connection: ReadConnection, annotation_id: int, version: int | None) -> NotFound | Conflict:
    """Say why a write found nothing to write to: the annotation is gone, or has another version."""
    row = await store.find(connection, annotation_id)
    return no_annotation(annotation_id) if row is None or version is None else version_conflict(row, version)


def version_conflict(row: Row, version: int) -> Conflict:
    """The answer to who changes a version that is not the present one."""
    conflict = VersionConflict(
        current_version=row["version"],
        your_version=version,
        last_updated_by=row["updated_by"],
        last_updated_at=row["updated_at"],
    )
    return Conflict(
        f"Somebody changed this annotation meanwhile: it has version {row['version']}, and you changed "
        f"version {version}. Load it again and repeat your change.",
        code="version_conflict",
        conflict=conflict,
    )


def no_annotation(annotation_id: int) -> NotFound:
    """The answer for an annotation that does not exist, and for one that the caller may not know of."""
    return NotFound(no_annotation_text(annotation_id), code="annotation_not_found")


def no_annotation_text(annotation_id: int) -> str:
    """Say it as a sentence alone: a call may name ten thousand of them."""
    return f"There is no annotation {annotation_id}."


async def response(call: Call, row: Row) -> AnnotationResponse:
    """Join a row with the names of its people."""
    users = await call.directory.get_many(user_ids(row), timeout=call.remaining_seconds)
    return annotation_response(row, users)
