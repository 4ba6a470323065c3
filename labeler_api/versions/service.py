"""Use cases of versions and exports: make one, list the versions, and find the file behind a link."""

from collections.abc import Iterable
from datetime import UTC, datetime

from labeler_api.context import Call
from labeler_api.db.pool import Row
from labeler_api.errors import Conflict
from labeler_api.http.paging import decode_cursor, encode_cursor
from labeler_api.idempotency import keys as idempotency
from labeler_api.members.authorization.service import access_of, authorize, not_found
from labeler_api.members.policy import ProjectLock, Role
from labeler_api.versions.exporting import service as exporting_service
from labeler_api.versions.files import naming
from labeler_api.versions.publishing import service as publishing_service
from labeler_api.versions.publishing import store as publishing_store
from labeler_api.versions.schemas import (
    ExportRequest,
    ExportResponse,
    Position,
    PublishVersion,
    VersionPage,
    VersionResponse,
    version_response,
)

_PAGE_LIMIT = 1000  # the frontend asks for no pages and expects them all; a version a day for three years


_VERSION_CHARACTERS = 16  # of the content's SHA-256, as the links of images have it


async def publish(call: Call, reference: str, body: PublishVersion) -> VersionResponse:
    """Publish the annotations of a task as a new version."""
    row = await _answered(call, reference)
    if row is None:
        try:
            row = await publishing_service.publish(call, reference, body)
        except Conflict:  # of the number, which an equal request may have taken
            row = await _answered(call, reference)
            if row is None:
                raise
    return version_response(row, {call.user_id: call.principal.profile}, _link(call, row))


async def page(call: Call, reference: str, cursor: str) -> tuple[VersionPage, str | None]:
    """List versions of a project, newest first, with links for the caller; and the cursor of the next page."""
    after = decode_cursor(cursor, Position) if cursor else None
    async with call.db.read() as connection:
        place = (after.created_at, after.id) if after else None
        # One row more than a page has tells whether there is a next one.
        seen, found, is_cut = await publishing_store.page(
            connection, reference, call.user_id, after=place, limit=_PAGE_LIMIT + 1
        )
    if seen is None:
        raise not_found()
    project_id, rows = access_of(seen, call, Role.VIEWER).require_project_id(), found[:_PAGE_LIMIT]
    users = await call.directory.get_many(_authors(rows), timeout=call.remaining_seconds)
    versions = [version_response(row, users, _link(call, row)) for row in rows]
    more = is_cut or len(found) > _PAGE_LIMIT
    following = encode_cursor(Position(rows[-1]["created_at"], rows[-1]["id"])) if more else None
    return VersionPage(versions=versions, total=seen["total"], project_id=project_id), following


async def export(call: Call, reference: str, body: ExportRequest) -> ExportResponse:
    """Export annotations of a task as they are now."""
    row = await _answered(call, reference)
    if row is None:
        row = await _kept(call, await exporting_service.export(call, reference, body))
    return ExportResponse(
        export_path=naming.export_key(row["path"]),
        download_url=call.links.export(row["path"], row["sha256"][:_VERSION_CHARACTERS], call.user_id),
        download_url_expires_at=datetime.fromtimestamp(call.links.export_expiry(), UTC),
        export_format=row["format"],
        annotation_count=row["annotation_count"],
        image_count=row["image_count"],
        file_size_bytes=row["size_bytes"],
        images_left_out=row.get("images_left_out", 0),  # an answer that an older API stored has none
    )


async def _answered(call: Call, reference: str) -> Row | None:
    """Find what an equal request was answered with, before files are made for nothing."""
    if call.idempotency is None:
        return None
    async with call.db.read() as connection:
        await authorize(connection, call, reference, Role.ADMIN, ProjectLock.NONE)
        return await idempotency.answered(connection, call)


async def _kept(call: Call, made: exporting_service.Exported) -> Row:
    """Note the export where a key asks for it; of equal requests side by side every one answers the first one's file.

    The files of the others go with the old exports.
    """
    row: Row = {
        "path": made.path,
        "sha256": made.written.sha256,
        "format": made.kind.name,
        "annotation_count": made.annotation_count,
        "image_count": made.image_count,
        "images_left_out": made.images_left_out,
        "size_bytes": made.written.size_bytes,
    }
    if call.idempotency is None:
        return row

    async def make() -> Row:
        return row

    async with call.db.begin() as tx:
        return await idempotency.once(tx, call, make)


def _link(call: Call, row: Row) -> tuple[str, datetime] | None:
    if not row["export_path"]:
        return None
    link = call.links.export(row["id"], row["version_number"], call.user_id)
    return link, datetime.fromtimestamp(call.links.export_expiry(), UTC)


def _authors(rows: Iterable[Row]) -> set[int]:
    return {row["created_by"] for row in rows if row["created_by"] is not None}
