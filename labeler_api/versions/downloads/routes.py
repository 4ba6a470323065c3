"""The files of versions and exports, behind signed links."""

from starlette.requests import Request
from starlette.responses import Response

from labeler_api.context import Call
from labeler_api.http.streaming import stream_object
from labeler_api.tokens.signed_links import LinkQuery
from labeler_api.versions.downloads import service as downloads_service
from labeler_api.versions.files import naming
from labeler_api.versions.schemas import VersionId


async def download(call: Call, version_id: VersionId, query: LinkQuery, request: Request) -> Response:
    """Download the file of a version by its signed link"""
    return await _sent(call, await downloads_service.file(call, version_id, query), query, request)


async def download_export(
    call: Call, project_id: str, task_type: str, export_id: str, file_name: str, query: LinkQuery, request: Request
) -> Response:
    """Download an exported file by its signed link"""
    path = f"{project_id}/{task_type}/{export_id}/{file_name}"
    return await _sent(call, await downloads_service.exported_file(call, path, query), query, request)


async def _sent(call: Call, file: downloads_service.ExportFile, query: LinkQuery, request: Request) -> Response:
    headers = {
        "Content-Type": file.content_type,
        "Content-Disposition": naming.content_disposition(file.file_name),
        # The file never changes, but who may have it does: browsers ask again, and a 304 costs no look at the store.
        "Cache-Control": "private, no-cache",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    return await stream_object(
        request,
        file.open,
        place=call.stream_place(query.u),
        size=file.size_bytes,
        etag=file.etag,
        headers=headers,
    )
