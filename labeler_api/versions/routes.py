"""Exports and published versions (calls 61 to 63, contract#exports), and the files behind their links."""

from starlette.requests import Request

from labeler_api.context import Call
from labeler_api.errors import BadRequest, Conflict, Forbidden, NotFound, RangeNotSatisfiable, TooMany
from labeler_api.http.endpoint import Reply, endpoint, links_to
from labeler_api.http.paging import CursorQuery
from labeler_api.http.server.client_leaving import while_connected
from labeler_api.versions import service
from labeler_api.versions.downloads.routes import download, download_export
from labeler_api.versions.schemas import (
    ExportRequest,
    ExportResponse,
    ProjectExport,
    PublishVersion,
    VersionPage,
    VersionResponse,
)


async def publish(call: Call, project_id: str, body: PublishVersion) -> VersionResponse:
    """Publish the annotations of a task as a version

    In any of the formats dice, coco, yolo and voc: the version's link downloads that one. The DICE file is written
    beside it, whatever the format. A format that cannot carry the task is a 400, before anything is written.
    """
    return await service.publish(call, project_id, body)


async def list_versions(call: Call, project_id: str, query: CursorQuery) -> Reply[VersionPage]:
    """List the published versions of a project

    The newest first, a thousand at most. The header X-Next-Cursor is there when more follow; give it back as `cursor`.
    """
    versions, cursor = await service.page(call, project_id, query.cursor)
    return Reply(versions, {"X-Next-Cursor": cursor} if cursor else {})


async def export_of_project(call: Call, project_id: str, body: ExportRequest, request: Request) -> ExportResponse:
    """Export the annotations of a task

    The project is that of the address: `project_id` may be left out of the body, and is not read when it is there. The
    link downloads the file for seven days. A client that leaves before the answer stops the export.
    """
    return await while_connected(request, service.export(call, project_id, body))


async def export(call: Call, body: ProjectExport, request: Request) -> ExportResponse:
    """Export the annotations of a task of a project that the body names

    The link downloads the file for seven days. A client that leaves before the answer stops the export.
    """
    wanted = ExportRequest(
        export_format=body.export_format,
        task_type=body.task_type,
        include_draft=body.include_draft,
        image_ids=body.image_ids,
        include_images=body.include_images,
        version_id=body.version_id,
    )
    return await while_connected(request, service.export(call, body.project_id, wanted))


_AFTER_PUBLISH = [
    *links_to({"version_id": "$response.body#/id"}, "versions_download"),
]

routes = [
    endpoint(
        "POST",
        "/projects/{project_id}/export",
        export_of_project,
        idempotent=True,
        errors=(BadRequest, Forbidden, NotFound),
        long=True,
    ),
    endpoint("POST", "/export", export, idempotent=True, errors=(BadRequest, Forbidden, NotFound), long=True),
    endpoint(
        "POST",
        "/projects/{project_id}/versions/publish",
        publish,
        links=_AFTER_PUBLISH,
        idempotent=True,
        errors=(BadRequest, Forbidden, NotFound, Conflict),
        long=True,
    ),
    endpoint("GET", "/projects/{project_id}/versions", list_versions, etag=True, errors=(NotFound,), large=True),
]


media_routes = [
    endpoint(
        "GET", "/media/exports/{version_id}", download, login=False, errors=(NotFound, RangeNotSatisfiable, TooMany)
    ),
    endpoint(
        "GET",
        "/media/exports/{project_id}/{task_type}/{export_id}/{file_name}",
        download_export,
        login=False,
        errors=(NotFound, RangeNotSatisfiable, TooMany),
    ),
]
