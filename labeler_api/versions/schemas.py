"""Wire types of published versions."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from labeler_api.directory import UserProfile

# Both become a segment of an object's key: no slash, no dot in front, nothing that needs quoting.
TaskType = Annotated[str, Meta(min_length=1, max_length=20, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
VersionNumber = Annotated[str, Meta(min_length=1, max_length=20, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class PublishVersion(Struct):
    """What to publish: the confirmed annotations of a task, drafts too with `include_draft`.

    Without a `version_number` the version gets the next major one. `export_format` is read without regard to case.
    """

    task_type: TaskType
    export_format: Annotated[str, Meta(min_length=1, max_length=20)]
    version_number: VersionNumber | None = None
    description: Annotated[str, Meta(max_length=10_000)] | None = None
    include_draft: bool = False


class VersionResponse(Struct):
    """A version (contract, section 10); the link downloads the file in `export_format`."""

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


class VersionPage(Struct):
    """Every version of a project, newest first."""

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
