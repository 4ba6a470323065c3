"""Use cases of versions: publish one, list them, and find the file behind a link."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from labeler_api.context import Call, Principal
from labeler_api.db.pool import Row
from labeler_api.errors import Forbidden, NotFound, Unauthenticated
from labeler_api.links import LinkQuery
from labeler_api.members.policy import Role
from labeler_api.members.service import require_role
from labeler_api.versions import naming, publishing, store
from labeler_api.versions.formats import DICE, OFFERED
from labeler_api.versions.schemas import PublishVersion, VersionPage, VersionResponse, version_response


@dataclass(frozen=True, slots=True)
class ExportFile:
    """A file in the object store, the name under which it is saved, and a strong quoted ETag."""

    bucket: str
    key: str
    file_name: str
    content_type: str
    size_bytes: int
    etag: str


async def publish(call: Call, reference: str, body: PublishVersion) -> VersionResponse:
    """Publish the annotations of a task as a new version."""
    row = await publishing.publish(call, reference, body)
    return version_response(row, {call.user_id: call.principal.profile}, _link(call, row))


async def page(call: Call, reference: str) -> VersionPage:
    """List the versions of a project, newest first, with links for the caller."""
    async with call.db.read() as connection:
        access = await require_role(connection, call, reference, Role.VIEWER)
        rows = await store.page(connection, access.project)
    users = await call.directory.get_many(_authors(rows), timeout=call.remaining_seconds)
    versions = [version_response(row, users, _link(call, row)) for row in rows]
    return VersionPage(versions=versions, total=len(versions), project_id=access.project)


async def file(call: Call, version_id: int, query: LinkQuery) -> ExportFile:
    """Find the file behind a link. Raises NotFound for whoever may not (any longer) have it."""
    call.links.check("exports", str(version_id), query)
    holder = await _as_holder(call, query.u)
    async with call.db.read() as connection:
        row = await store.file(connection, version_id)
        if row is None or row["version_number"] != query.v or not row["export_path"]:
            raise _no_file()
        await require_role(connection, holder, row["project_id"], Role.VIEWER)
    bucket, key = call.settings.s3_bucket_annotations, row["export_path"]
    size, digest = row["file_size_bytes"], row["content_sha256"]
    if size is None or digest is None:  # made before these were noted
        info = await call.objects.head(bucket, key)
        size, digest = info.size, info.etag
    format_name = row["export_format"] or DICE.name
    kind = OFFERED.get(format_name, DICE)
    return ExportFile(
        bucket=bucket,
        key=key,
        content_type=kind.content_type,
        size_bytes=size,
        etag=f'"{digest}"',
        file_name=naming.download_name(
            row["project_name"], row["task_type"], row["version_number"], format_name, kind.extension
        ),
    )


async def _as_holder(call: Call, user_id: int) -> Call:
    """Let the link's user be the caller: a link gives no more than its holder has now."""
    try:
        profile = await call.directory.require_active(user_id)
    except (Unauthenticated, Forbidden):
        raise _no_file() from None
    principal = Principal(user_id=profile.id, email=profile.email, is_admin=profile.is_admin, profile=profile)
    return replace(call, user=principal)


def _link(call: Call, row: Row) -> tuple[str, datetime] | None:
    if not row["export_path"]:
        return None
    link = call.links.export(row["id"], row["version_number"], call.user_id)
    return link, datetime.fromtimestamp(call.links.export_expiry(), UTC)


def _authors(rows: Iterable[Row]) -> set[int]:
    return {row["created_by"] for row in rows if row["created_by"] is not None}


def _no_file() -> NotFound:
    return NotFound("This version is not there, or you are not a member of its project.", code="version_not_found")
