"""What every format is made of: the frozen annotations of one version, in one order, and what stands above them.

A format is a pure function of a `Source`: the same source gives the same bytes. Nothing here knows of databases.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Protocol

import msgspec

from labeler_api.versions.formats.classes import ClassList

KST = timezone(timedelta(hours=9))  # contract#ids-and-times: the files speak Korean time

NO_OBJECT = "no_object"
CLASSIFICATION = "classification"


class Image(msgspec.Struct, frozen=True):
    """An image as it was when the version was made; sizes in pixels as displayed, 0 where nobody knows them.

    `dataset_name` is its path in the dataset where a file calls it by another one (formats/placing).
    """

    file_name: str
    width: int
    height: int
    confirmed_at: datetime | None
    dataset_name: str | None = None


class Annotation(msgspec.Struct, frozen=True):
    """A frozen annotation, with its image."""

    id: int
    image_id: str
    annotation_type: str
    geometry: dict[str, Any]
    class_id: str | None
    class_name: str | None
    attributes: msgspec.Raw
    created_by: int
    created_at: datetime
    confirmed_by: int | None
    image: Image


class LabeledImage(msgspec.Struct):
    """An image of the version, with the ids of the classes that it has as a whole."""

    image_id: str
    image: Image
    labels: list[str | None]


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says once. `emails` are those of the annotations' authors and confirmers, by user id."""

    project_name: str
    project_description: str | None
    project_created_at: datetime
    dataset_id: str
    dataset_name: str
    task_type: str
    version_created_at: datetime
    annotation_count: int
    image_count: int
    classes: ClassList
    emails: Mapping[int, str]
    splits: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Folders of the images of a split, where all images lie in some (formats/yolo_paths)."""


class VersionSource(Protocol):
    """The content of one version. Both generators go by image id (by code point) and then by annotation id."""

    @property
    def header(self) -> Header:
        """What a file says once."""
        ...

    def annotations(self) -> AsyncGenerator[Annotation, None]:
        """Yield every annotation."""
        ...

    def images(self) -> AsyncGenerator[LabeledImage, None]:
        """Yield every image that has an annotation, once."""
        ...
