"""Published versions (contract 62, 63) and the files behind their links."""

from typing import Annotated

from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from labeler_api.context import Call
from labeler_api.http.endpoint import endpoint
from labeler_api.http.streaming import stream_object
from labeler_api.links import LinkQuery
from labeler_api.versions import naming, service
from labeler_api.versions.schemas import PublishVersion, VersionPage, VersionResponse

VersionId = Annotated[int, Meta(ge=1, le=2**31 - 1)]


async def publish(call: Call, project_id: str, body: PublishVersion) -> VersionResponse:
    """Publish the annotations of a task as a version"""
    return await service.publish(call, project_id, body)


async def list_versions(call: Call, project_id: str) -> VersionPage:
    """List the published versions of a project"""
    return await service.page(call, project_id)


async def download(call: Call, version_id: VersionId, query: LinkQuery, request: Request) -> Response:
    """Download the file of a version by its signed link"""
    file = await service.file(call, version_id, query)
    headers = {
        "Content-Type": file.content_type,
        "Content-Disposition": naming.content_disposition(file.file_name),
        # The file never changes, but who may have it does: browsers ask again, and a 304 costs no look at the store.
        "Cache-Control": "private, no-cache",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    return await stream_object(
        request,
        lambda byte_range: call.objects.open(file.bucket, file.key, byte_range),
        size=file.size_bytes,
        etag=file.etag,
        headers=headers,
    )


routes = [
    endpoint("POST", "/projects/{project_id}/versions/publish", publish, errors=(400, 403, 404, 409)),
    endpoint("GET", "/projects/{project_id}/versions", list_versions, etag=True, errors=(404,)),
]
media_routes = [endpoint("GET", "/media/exports/{version_id}", download, login=False, errors=(404, 416))]
