"""List the annotations of a project or of an image."""

from labeler_api.annotations.editing.schemas import AnnotationResponse
from labeler_api.annotations.page import service as page_service
from labeler_api.annotations.page.schemas import PageQuery
from labeler_api.context import Call
from labeler_api.http.endpoint import Encoded, Reply


async def list_annotations(call: Call, project_id: str, query: PageQuery) -> Reply[list[AnnotationResponse]]:
    """List the annotations of a project, or of one of its images

    Ordered by id. `limit` is 1000 at most; `X-Next-Cursor` holds the `cursor` of the next page. The ETag follows the
    project's revision and the names shown.
    """
    page = await page_service.page(call, project_id, query)
    headers = {"ETag": page.etag}
    if page.next_cursor:
        headers["X-Next-Cursor"] = page.next_cursor
    return Reply(Encoded(b"[]") if page.encoded is None else page.encoded, headers)
