"""Wire types of annotations."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from labeler_api.locks.image_locks.schemas import ImageId
from labeler_api.user_directory.directory import UserProfile

AnnotationId = Annotated[int, Meta(ge=1, le=2**63 - 1)]


Version = Annotated[int, Meta(ge=1, le=2**31 - 1)]


# Widths of the columns.
ClassId = Annotated[str, Meta(max_length=50)]


ClassName = Annotated[str, Meta(max_length=255)]


ProjectRef = Annotated[str, Meta(min_length=1, max_length=100)]


Percent = Annotated[int, Meta(ge=0, le=100)]


Notes = Annotated[str, Meta(max_length=10_000)]  # a remark of some pages; the list carries a thousand of them


StoredObject = Annotated[Raw, Meta(extra_json_schema={"type": "object"})]


class AnnotationCreate(Struct):
    """A new annotation. `project_id` may be the id of the dataset.

    The class is not checked: undo and paste re-create annotations whose class was removed or came with an import.
    """

    project_id: ProjectRef
    image_id: ImageId
    annotation_type: str
    geometry: Raw
    class_id: ClassId | None = None
    class_name: ClassName | None = None
    attributes: Raw | UnsetType = UNSET
    confidence: Percent | None = None
    notes: Notes | None = None


class AnnotationUpdate(Struct):
    """What to change; keys that are not sent stay. `version`, if sent, has to be the present one."""

    geometry: StoredObject | UnsetType = UNSET
    class_id: ClassId | UnsetType | None = UNSET
    class_name: ClassName | UnsetType | None = UNSET
    attributes: StoredObject | UnsetType = UNSET
    confidence: Percent | UnsetType | None = UNSET
    is_verified: bool | UnsetType = UNSET
    notes: Notes | UnsetType | None = UNSET
    version: Version | UnsetType | None = UNSET


class AnnotationDraft(Struct):
    """A row to insert, as `store.insert` reads it; the column names are the keys."""

    image_id: str
    annotation_type: str
    task_type: str
    geometry: Raw
    attributes: Raw
    class_id: str | None
    class_name: str | None
    confidence: int | None
    notes: str | None
    annotation_state: Literal["draft", "confirmed"]


class AnnotationResponse(Struct):
    """An annotation (contract#annotations). `geometry` and `attributes` are objects, as they were sent."""

    id: int
    project_id: str
    image_id: str
    annotation_type: str
    geometry: StoredObject
    class_id: str | None
    class_name: str | None
    attributes: StoredObject
    confidence: int | None
    created_by: int
    updated_by: int | None
    is_verified: bool
    notes: str | None
    version: int
    annotation_state: str
    confirmed_at: datetime | None
    confirmed_by: int | None
    created_at: datetime
    updated_at: datetime
    created_by_name: str | None
    updated_by_name: str | None
    confirmed_by_name: str | None


class DeletedResponse(Struct):
    """A sentence for a person."""

    message: str


class VersionConflict(Struct):
    """The `conflict` member of a 409: what is stored, beside what the caller believed."""

    current_version: int
    your_version: int
    last_updated_by: int | None
    last_updated_at: datetime


def annotation_response(row: Mapping[str, Any], users: Mapping[int, UserProfile]) -> AnnotationResponse:
    """Join a row with the names; an unknown or deleted user shows as a null name."""
    return AnnotationResponse(
        id=row["id"],
        project_id=row["project_id"],
        image_id=row["image_id"],
        annotation_type=row["annotation_type"],
        geometry=Raw(row["geometry"]),
        class_id=row["class_id"],
        class_name=row["class_name"],
        attributes=Raw(row["attributes"]),
        confidence=row["confidence"],
        created_by=row["created_by"],
        updated_by=row["updated_by"],
        is_verified=row["is_verified"],
        notes=row["notes"],
        version=row["version"],
        annotation_state=row["annotation_state"],
        confirmed_at=row["confirmed_at"],
        confirmed_by=row["confirmed_by"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        created_by_name=name_of(users, row["created_by"]),
        updated_by_name=name_of(users, row["updated_by"]),
        confirmed_by_name=name_of(users, row["confirmed_by"]),
    )


def user_ids(row: Mapping[str, Any]) -> set[int]:
    """Whose names an annotation shows."""
    return {row[key] for key in ("created_by", "updated_by", "confirmed_by") if row[key] is not None}


def name_of(users: Mapping[int, UserProfile], user_id: int | None) -> str | None:
    """The full name, or None for nobody and for a user who is not known."""
    user = users.get(user_id) if user_id is not None else None
    return user.full_name if user else None
