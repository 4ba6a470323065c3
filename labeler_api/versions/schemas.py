"""Wire types of published versions."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from labeler_api.text.patterns import TASK, VERSION
from labeler_api.user_directory.directory import UserProfile

TaskType = Annotated[str, Meta(min_length=1, max_length=20, pattern=TASK)]
# Another word is refused with 400, which names those that there are.
ExportFormatName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=20,
        description="dice, coco, yolo or voc, in any case.",
        extra_json_schema={"pattern": "^([Dd][Ii][Cc][Ee]|[Cc][Oo][Cc][Oo]|[Yy][Oo][Ll][Oo]|[Vv][Oo][Cc])$"},
    ),
]
VersionId = Annotated[int, Meta(ge=1, le=2**31 - 1)]
VersionNumber = Annotated[str, Meta(min_length=1, max_length=20, pattern=VERSION)]
# More do not fit in a body anyway.
ImageIds = Annotated[list[Annotated[str, Meta(min_length=1, max_length=255)]], Meta(min_length=1, max_length=50_000)]


class PublishVersion(Struct):
    """What to publish: the confirmed annotations of a task, drafts too with `include_draft`.

    Without a `version_number` the version gets the next major one. `export_format` is read without regard to case.
    """

    task_type: TaskType
    export_format: ExportFormatName
    version_number: VersionNumber | None = None
    description: Annotated[str, Meta(max_length=10_000)] | None = None
    include_draft: bool = False


class ExportRequest(Struct):
    """What to export: the confirmed annotations of a task, drafts too with `include_draft`, of all images or of some.

    Without a `task_type` it is the project's first. The `project_id` of the path counts; that of the body may be left
    out, and is not read. With a `version_id` it is what that version has. With `include_images` the file is a ZIP that
    has the images, too, and with which training can begin as it is unpacked.
    """

    export_format: ExportFormatName
    task_type: TaskType | None = None
    project_id: str | None = None
    include_draft: bool = False
    image_ids: ImageIds | None = None
    include_images: bool = False
    version_id: VersionId | None = None


class ProjectExport(Struct):
    """What to export: the confirmed annotations of a task, drafts too with `include_draft`, of all images or of some.

    `project_id` is the id of a project or of its dataset. With a `version_id` it is what that version has. With
    `include_images` the file is a ZIP that has the images, too, and with which training can begin as it is unpacked.
    """

    project_id: Annotated[str, Meta(min_length=1, max_length=100)]
    task_type: TaskType
    export_format: ExportFormatName
    include_draft: bool = False
    image_ids: ImageIds | None = None
    include_images: bool = False
    version_id: VersionId | None = None


class ExportResponse(Struct):
    """An exported file (contract#exports); the link downloads it for seven days.

    `images_left_out` counts, of an export with images, those that are not there any more, and whose annotations are
    therefore left out; `missing_images.txt` in the ZIP names them.
    """

    export_path: str
    download_url: str
    download_url_expires_at: datetime
    export_format: str
    annotation_count: int
    image_count: int
    file_size_bytes: int | None
    images_left_out: int


class VersionResponse(Struct):
    """A version (contract#exports); the link downloads the file in `export_format`."""

    id: int
    project_id: str
    task_type: str | None
    version_number: str
    version_type: str
    created_at: datetime
    created_by: int | None
    description: str | None
    annotation_count: int | None
    image_count: int | None
    export_format: str | None
    export_path: str | None
    download_url: str | None
    download_url_expires_at: datetime | None
    created_by_name: str | None
    created_by_email: str | None


class Position(Struct, array_like=True):
    """Where a page of versions ended."""

    created_at: Annotated[datetime, Meta(tz=True)]
    id: Annotated[int, Meta(ge=1, le=2**31 - 1)]


class VersionPage(Struct):
    """Versions of a project, newest first, and how many there are on all pages."""

    versions: list[VersionResponse]
    total: int
    project_id: str


def version_response(
    row: Mapping[str, Any], users: Mapping[int, UserProfile], link: tuple[str, datetime] | None
) -> VersionResponse:
    """Join a row with its author's names and its link with the link's expiry; no link where there is no file."""
    author = users.get(row["created_by"])
    return VersionResponse(
        id=row["id"],
        project_id=row["project_id"],
        task_type=row["task_type"],
        version_number=row["version_number"],
        version_type=row["version_type"],
        created_at=row["created_at"],
        created_by=row["created_by"],
        description=row["description"],
        annotation_count=row["annotation_count"],
        image_count=row["image_count"],
        export_format=row["export_format"],
        export_path=row["export_path"],
        download_url=link[0] if link else None,
        download_url_expires_at=link[1] if link else None,
        created_by_name=author.full_name if author else None,
        created_by_email=author.email if author else None,
    )
