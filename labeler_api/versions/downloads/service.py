"""Use cases of signed links: find the file of a version or of an export."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial

from msgspec.structs import replace

from labeler_api.context import Call, Principal
from labeler_api.errors import Forbidden, NotFound, Unauthenticated
from labeler_api.members.authorization.service import authorize
from labeler_api.members.policy import ProjectLock, Role
from labeler_api.object_store.objects import ByteStream
from labeler_api.tokens.signed_links import LinkQuery
from labeler_api.versions.files import bundles, naming
from labeler_api.versions.files import store as files_store
from labeler_api.versions.formats import DICE, EXPORT_FORMATS
from labeler_api.versions.publishing import store as publishing_store

Opener = Callable[[str | None], AbstractAsyncContextManager[ByteStream]]


@dataclass(frozen=True, slots=True)
class ExportFile:
    """A file, how it is opened, the name under which it is saved, and a strong quoted ETag."""

    open: Opener
    file_name: str
    content_type: str
    size_bytes: int
    etag: str


async def exported_file(call: Call, path: str, query: LinkQuery) -> ExportFile:
    """Find the exported file behind a link. Raises NotFound if the user may not export (any longer)."""
    call.links.check("exports", path, query)
    project_id, task_type, folder, file_name = path.split("/")
    holder = await _as_holder(call, query.u)
    async with call.db.read() as connection:
        try:
            access = await authorize(connection, holder, project_id, Role.ADMIN, ProjectLock.NONE)
        except Forbidden:
            raise _no_file() from None
        project_name = await files_store.project_name(connection, access.require_project_id())
    bucket, key = call.settings.s3_bucket_annotations, naming.export_key(path)
    kind = next(kind for kind in EXPORT_FORMATS.values() if file_name in {kind.file_name, kind.bundle_name})
    what, content_type, extension = kind.name, kind.content_type, kind.extension
    opened: Opener
    if file_name == kind.bundle_name:
        bundle = await bundles.Bundle.find(
            call.objects, bundles.BundlePlace(bucket, key), call.settings.s3_bucket_datasets
        )
        opened, size = bundle.open, bundle.size
        what, content_type, extension = f"{kind.name}_with_images", bundles.CONTENT_TYPE, ".zip"
    else:
        opened, size = partial(call.objects.open, bucket, key), (await call.objects.head(bucket, key)).size
    made = folder.rpartition("_")[0]  # without what tells it from others of the same second
    return ExportFile(
        open=opened,
        content_type=content_type,
        size_bytes=size,
        etag=f'"{query.v}"',
        file_name=naming.download_name(project_name or "", task_type, made, what, extension),
    )


async def file(call: Call, version_id: int, query: LinkQuery) -> ExportFile:
    """Find the file behind a link. Raises NotFound if the user may not have it (any longer)."""
    call.links.check("exports", str(version_id), query)
    holder = await _as_holder(call, query.u)
    async with call.db.read() as connection:
        row = await publishing_store.file(connection, version_id)
        if row is None or row["version_number"] != query.v or not row["export_path"]:
            raise _no_file()
        try:
            await authorize(connection, holder, row["project_id"], Role.VIEWER, ProjectLock.NONE)
        except NotFound:  # as if there were no such version
            raise _no_file() from None
    bucket, key = call.settings.s3_bucket_annotations, row["export_path"]
    size, digest = row["file_size_bytes"], row["content_sha256"]
    if size is None or digest is None:  # made before these were noted
        info = await call.objects.head(bucket, key)
        size, digest = info.size, info.etag
    format_name = row["export_format"] or DICE.name
    kind = EXPORT_FORMATS.get(format_name, DICE)
    return ExportFile(
        open=partial(call.objects.open, bucket, key),
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


def _no_file() -> NotFound:
    return NotFound("This file is not there, or you are not a member of its project.", code="version_not_found")
