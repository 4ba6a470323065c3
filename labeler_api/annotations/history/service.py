"""The history of annotations, and bringing one of their revisions back."""

from datetime import UTC, datetime

from labeler_api.annotations.editing.schemas import AnnotationResponse
from labeler_api.annotations.editing.service import (
    access_to,
    check_may_change,
    check_write_result,
    expected_version,
    no_annotation,
    response,
    version_conflict,
    writer,
)
from labeler_api.annotations.history import store
from labeler_api.annotations.history.schemas import (
    ANNOTATION_LIMIT,
    PROJECT_LIMIT,
    AnnotationHistoryQuery,
    HistoryEntry,
    ProjectHistoryQuery,
    Restore,
    history_entry,
)
from labeler_api.context import Call
from labeler_api.db.page_bytes import PAGE_BYTES
from labeler_api.db.pool import Row
from labeler_api.errors import AppError, Conflict, NotFound, NothingMatched, invalid
from labeler_api.http.paging import decode_cursor, encode_cursor
from labeler_api.locks.image_locks.lease import WRITE_LEASE_SECONDS
from labeler_api.locks.image_locks.service import naming_the_holder
from labeler_api.members.authorization.service import Access, access_of
from labeler_api.members.policy import Role

_AFTER_ALL = (datetime.max.replace(tzinfo=UTC), 2**63 - 1)
# What a state needs to be a whole annotation. Rows of the service that ran before have a part of it.
_WHOLE = (
    *("id", "project_id", "image_id", "annotation_type", "task_type", "geometry", "attributes", "class_id"),
    *("class_name", "confidence", "notes", "is_verified", "annotation_state", "confirmed_at", "confirmed_by"),
    *("created_by", "created_at"),
)


async def of_project(call: Call, project: str, query: ProjectHistoryQuery) -> tuple[list[HistoryEntry], str | None]:
    """List what was written to a project, newest first, with the cursor of the next page."""
    limit = min(query.limit, PROJECT_LIMIT)
    before = decode_cursor(query.cursor, tuple[datetime, int]) if query.cursor else _AFTER_ALL
    if before[0].tzinfo is None:
        raise invalid("is not a cursor that this list gave out", "query", "cursor", code="bad_cursor")
    async with call.db.read() as connection:
        found, rows, is_cut = await store.of_project(
            connection, project, call.user_id, before=before, limit=limit, skip=query.skip
        )
    access_of(found, call, Role.VIEWER).require_project_id()
    more = is_cut or (limit and len(rows) == limit)
    return await _entries(call, rows), encode_cursor((rows[-1]["timestamp"], rows[-1]["id"])) if more else None


async def of_annotation(
    call: Call, annotation_id: int, query: AnnotationHistoryQuery
) -> tuple[list[HistoryEntry], str | None]:
    """List what was written to an annotation, one that is deleted included. Raises NotFound."""
    limit = min(query.limit, ANNOTATION_LIMIT)
    before = decode_cursor(query.cursor, int) if query.cursor else 2**63 - 1
    async with call.db.read() as connection:
        found, rows, is_cut = await store.of_annotation(
            connection, annotation_id, call.user_id, before=before, limit=limit, skip=query.skip
        )
    try:
        access_of(found, call, Role.VIEWER)
    except NotFound:
        raise no_annotation(annotation_id) from None
    more = is_cut or (limit and len(rows) == limit)
    return await _entries(call, rows), encode_cursor(rows[-1]["id"]) if more else None


async def restore(call: Call, annotation_id: int, body: Restore) -> AnnotationResponse:
    """Make a revision the newest one, also of an annotation that was deleted. A write, as an update is."""
    version = expected_version(call, body.version)
    place, access = await _require_place(call, annotation_id)
    check_may_change(call, access, place["created_by"])  # before anything is waited for
    try:
        async with call.db.single() as tx:
            tx.queue_for_project(access.require_project_id())
            row = await store.restore(
                tx, writer(call), annotation_id, version, body.revision, _WHOLE, WRITE_LEASE_SECONDS
            )
    except NothingMatched:
        raise await _missed(call, annotation_id, version) from None
    if row is not None and row["outcome"] in {"no_state", "too_large"}:
        raise await _not_restorable(call, annotation_id, body.revision, row["outcome"])
    async with naming_the_holder(call):
        restored = check_write_result(call, row, annotation_id)
    return await response(call, restored)


async def _require_place(call: Call, annotation_id: int) -> tuple[Row, Access]:
    """Find where an annotation is or was. Raises NotFound, the same for one that the caller may not know of."""
    async with call.db.read() as connection:
        place = await store.place(connection, annotation_id, call.user_id)
    access = access_to(place, call, annotation_id)
    assert place is not None  # noqa: S101 - its access was judged
    return place, access


async def _not_restorable(call: Call, annotation_id: int, revision: int, outcome: str) -> AppError:
    if outcome == "too_large":
        return Conflict(
            f"Revision {revision} is larger than {PAGE_BYTES >> 20} MiB and cannot be restored by a call. Ask an "
            "operator.",
            code="revision_too_large",
        )
    async with call.db.read() as connection:
        found = await store.kind_of_revision(connection, annotation_id, revision)
    if found is None:
        return NotFound(
            f"The annotation {annotation_id} has no revision {revision}. Its history lists those that it has.",
            code="revision_not_found",
        )
    if found["revision"] is not None and found["action"] == "delete":
        return Conflict(
            f"Revision {revision} is the deletion of the annotation. Restore the revision before it.",
            code="revision_is_deletion",
        )
    return Conflict(
        f"Revision {revision} cannot be restored: when it was written, only a part of the annotation was kept. "
        "Restore a later revision, or make the change by hand.",
        code="revision_incomplete",
    )


async def _missed(call: Call, annotation_id: int, version: int | None) -> AppError:
    """Say why a state found nothing to be put to: the version is another."""
    async with call.db.read() as connection:
        place = await store.place(connection, annotation_id, call.user_id)
    if place is None or place["version"] is None or version is None:
        return no_annotation(annotation_id)
    return version_conflict(place, version)


async def _entries(call: Call, rows: list[Row]) -> list[HistoryEntry]:
    users = await call.directory.get_many({row["changed_by"] for row in rows}, timeout=call.remaining_seconds)
    return [history_entry(row, users) for row in rows]
