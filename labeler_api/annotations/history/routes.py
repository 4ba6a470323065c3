"""Read the history of annotations, and bring a revision back."""

from labeler_api.annotations.editing.schemas import AnnotationId, AnnotationResponse
from labeler_api.annotations.history import service as history_service
from labeler_api.annotations.history.schemas import AnnotationHistoryQuery, HistoryEntry, ProjectHistoryQuery, Restore
from labeler_api.context import Call
from labeler_api.http.endpoint import Reply


async def history_of_project(call: Call, project_id: str, query: ProjectHistoryQuery) -> Reply[list[HistoryEntry]]:
    """List what was written to a project's annotations

    Newest first. `limit` is 100 at most; `X-Next-Cursor` holds the `cursor` of the next page.
    """
    entries, cursor = await history_service.of_project(call, project_id, query)
    return _page(entries, cursor)


async def history(call: Call, annotation_id: AnnotationId, query: AnnotationHistoryQuery) -> Reply[list[HistoryEntry]]:
    """List what was written to an annotation

    Newest first, also of an annotation that was deleted. `limit` is 1000 at most; `X-Next-Cursor` holds the `cursor` of
    the next page.
    """
    entries, cursor = await history_service.of_annotation(call, annotation_id, query)
    return _page(entries, cursor)


async def restore(call: Call, annotation_id: AnnotationId, body: Restore) -> AnnotationResponse:
    """Bring a revision of an annotation back

    As a new version, which is a revision itself; an annotation that was deleted comes back under its id. Revisions of
    which the history holds a part only are refused with 409. Honours `version` in the body and `If-Match`.
    """
    return await history_service.restore(call, annotation_id, body)


def _page(entries: list[HistoryEntry], cursor: str | None) -> Reply[list[HistoryEntry]]:
    return Reply(entries, {"X-Next-Cursor": cursor} if cursor else {})
