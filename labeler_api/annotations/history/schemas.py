"""Wire types of the history."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Raw, Struct

from labeler_api.annotations.editing.schemas import Version
from labeler_api.user_directory.directory import UserProfile

PROJECT_LIMIT = 100  # contract#paging: a greater limit is silently this one
ANNOTATION_LIMIT = 1000  # more than anybody edits one shape; the rest is behind the cursor


class HistoryEntry(Struct):
    """One write: the annotation before and after it. `revision` is the version that it made, and can be restored.

    Entries of the service that ran before hold a part of the annotation, and no `revision`.
    """

    id: int
    annotation_id: int
    project_id: str
    image_id: str | None
    action: str
    revision: int | None
    previous_state: Raw | None
    new_state: Raw | None
    changed_by: int
    timestamp: datetime
    changed_by_name: str | None
    changed_by_email: str | None


class ProjectHistoryQuery(Struct):
    """Which page, newest first: by position, or behind a cursor."""

    skip: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    limit: Annotated[int, Meta(ge=0)] = PROJECT_LIMIT
    cursor: str = ""


class AnnotationHistoryQuery(Struct):
    """Which page, newest first: by position, or behind a cursor."""

    skip: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    limit: Annotated[int, Meta(ge=0)] = ANNOTATION_LIMIT
    cursor: str = ""


class Restore(Struct):
    """Which revision to bring back. `version`, if sent, has to be the present one of the annotation."""

    revision: Version
    version: Version | None = None


def history_entry(row: Mapping[str, Any], users: Mapping[int, UserProfile]) -> HistoryEntry:
    """Join a row with the name of who wrote; an unknown or deleted user shows as null."""
    user = users.get(row["changed_by"])
    return HistoryEntry(
        id=row["id"],
        annotation_id=row["annotation_id"],
        project_id=row["project_id"],
        image_id=row["image_id"],
        action=row["action"],
        revision=row["revision"],
        previous_state=_raw(row["previous_state"]),
        new_state=_raw(row["new_state"]),
        changed_by=row["changed_by"],
        timestamp=row["timestamp"],
        changed_by_name=user.full_name if user else None,
        changed_by_email=user.email if user else None,
    )


def _raw(text: str | None) -> Raw | None:
    return None if text is None else Raw(text)
