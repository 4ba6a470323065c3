"""COCO (https://cocodataset.org/#format-data), our own export of it, and the flat form of older uploads.

What a `segmentation` is: a polygon for each of its rings. A project that has boxes as a task and outlines not takes
the boxes instead, since nearly every COCO file has both. `circle`, `polyline` and `geometry` are members of our own
export, as is `category_ids` of an image: the classes that it has as a whole.
"""

from collections.abc import Iterator, Sequence, Set
from typing import Any

import msgspec
from msgspec import Raw, Struct

from labeler_api.imports import strict_json
from labeler_api.imports.readers import outlines
from labeler_api.imports.readers.class_table import ClassTable, Key
from labeler_api.imports.readers.items import NO_ATTRIBUTES, FileImage, FormatName, PlacedImage, Problems, Shape
from labeler_api.imports.readers.outlines import Geometry, Malformed

_BAD = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_NOTHING = Raw(b"")


class _Image(Struct):
    id: Key
    file_name: str
    width: int | None = None
    height: int | None = None
    category_ids: list[Key] = []


class _Reference(Struct):
    """As much of an annotation as says where it belongs."""

    image_id: Key


class _Circle(Struct):
    center: tuple[float, float]
    radius: float


class _Annotation(Struct):
    image_id: Key
    category_id: Key | None = None
    bbox: list[float] | None = None
    segmentation: Raw = _NOTHING
    circle: _Circle | None = None
    polyline: list[float] | None = None
    geometry: dict[str, Any] | None = None
    attributes: Raw = _NOTHING


_IMAGE = msgspec.json.Decoder(_Image)
_REFERENCE = msgspec.json.Decoder(_Reference)
_ANNOTATION = msgspec.json.Decoder(_Annotation)


class CocoReader:
    """See `items.Reader`. `tasks` are those of the project."""

    format: FormatName = "coco"

    def __init__(self, members: dict[str, Raw], tasks: Set[str], problems: Problems) -> None:
        self._problems = problems
        self._takes_outlines = "segmentation" in tasks or "detection" not in tasks
        self._annotations = strict_json.items(members, "annotations")
        self._classes = ClassTable(strict_json.items(members, "categories"), "categories", problems)
        self.classes = self._classes.classes
        self.warnings: list[str] = []
        self.images: list[FileImage] = []
        self._numbers: dict[Key, int] = {}
        self._labels: list[tuple[str, int, list[Key]]] = []
        self._known: set[Key] = set()
        self._read_images(strict_json.items(members, "images"))
        self._split = self._boxed = 0

    def shapes(self, images: Sequence[PlacedImage | None]) -> Iterator[Shape]:  # noqa: ARG002 - needs no sizes
        """Yield what is drawn, then the classes of whole images."""
        for position, raw in enumerate(self._annotations):
            place = f"annotations[{position}]"
            try:
                yield from self._shapes_of(place, _ANNOTATION.decode(raw))
            except Malformed as error:
                self._problems.add(place, str(error))
            except _BAD as error:
                self._problems.add(place, strict_json.reason(error))
        for place, image, keys in self._labels:
            for key in keys:
                number = self._class(place, key)
                yield Shape(place, image, "classification", {"type": "classification"}, number)
        self._warn()

    def _read_images(self, raws: list[Raw]) -> None:
        """Keep those images that something is said about: a file may list a hundred times as many."""
        used = set(self._image_ids())
        for position, raw in enumerate(raws):
            place = f"images[{position}]"
            try:
                image = _IMAGE.decode(raw)
            except _BAD as error:
                self._problems.add(place, strict_json.reason(error))
                continue
            if image.id in self._known:
                self._problems.add(f"{place}.id", f"{image.id} is the id of another image, too")
            self._known.add(image.id)
            if image.id in used or image.category_ids:
                self._numbers[image.id] = len(self.images)
                self.images.append(FileImage(place, image.file_name, image.width, image.height))
            if image.category_ids:
                self._labels.append((place, len(self.images) - 1, image.category_ids))

    def _image_ids(self) -> Iterator[Key]:
        for raw in self._annotations:
            try:
                yield _REFERENCE.decode(raw).image_id
            except _BAD:  # told when the annotation itself is read
                continue

    def _shapes_of(self, place: str, annotation: _Annotation) -> Iterator[Shape]:
        image = self._numbers.get(annotation.image_id)
        if image is None:
            raise Malformed(f"its image_id {annotation.image_id} is not among the images")
        number = None if annotation.category_id is None else self._class(place, annotation.category_id)
        attributes = annotation.attributes
        if bytes(memoryview(attributes)[:5]) in (b"", b"null"):
            attributes = NO_ATTRIBUTES
        for kind, geometry in self._drawn(annotation):
            yield Shape(place, image, kind, geometry, number, attributes)

    def _drawn(self, annotation: _Annotation) -> Iterator[tuple[str, Geometry]]:
        if annotation.circle is not None:
            yield "circle", outlines.circle(annotation.circle.center, annotation.circle.radius)
        elif annotation.polyline is not None:
            yield "polyline", outlines.polyline(annotation.polyline)
        elif annotation.geometry is not None:
            yield "rotated_bbox", annotation.geometry
        else:
            yield from self._region(annotation)

    def _region(self, annotation: _Annotation) -> Iterator[tuple[str, Geometry]]:
        has_outline = bytes(memoryview(annotation.segmentation)[:2]) not in (b"", b"[]", b"nu")
        if has_outline and (self._takes_outlines or not annotation.bbox):
            rings = outlines.rings(annotation.segmentation)
            self._split += len(rings) > 1
            for ring in rings:
                yield "polygon", outlines.polygon(ring)
            return
        if not annotation.bbox:
            raise Malformed("it has neither a box nor an outline")
        if len(annotation.bbox) != 4:  # noqa: PLR2004 - left, top, width, height
            raise Malformed("its bbox has not four numbers")
        self._boxed += has_outline
        yield "bbox", outlines.box(annotation.bbox)

    def _class(self, place: str, key: Key) -> int | None:
        number = self._classes.number(key)
        if number is None:
            self._problems.add(place, f"its class {key} is not among the categories")
        return number

    def _warn(self) -> None:
        if self._split:
            self.warnings.append(
                f"{self._split} annotations have an outline of several rings; each ring became a polygon of its own."
            )
        if self._boxed:
            self.warnings.append(
                f"{self._boxed} annotations have an outline and a box. The project has the task detection and not "
                "segmentation, so the boxes were taken."
            )
