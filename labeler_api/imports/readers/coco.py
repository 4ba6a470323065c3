"""COCO (https://cocodataset.org/#format-data), our own export of it, and the flat form of older uploads.

What a `segmentation` is: a polygon for each of its rings, and for each part of a mask (RLE). A project that has boxes
as a task and outlines not takes the boxes instead, since nearly every COCO file has both. `circle`, `polyline` and
`geometry` are members of our own export, as is `category_ids` of an image: the classes that it has as a whole.
"""

import re
from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Raw, Struct

from labeler_api.images.upload.schemas import ImportFormatName
from labeler_api.imports.readers import outlines
from labeler_api.imports.readers.class_table import ClassTable, Key, meant, pixels
from labeler_api.imports.readers.items import (
    NO_ATTRIBUTES,
    FileImage,
    Geometry,
    ImageList,
    PlacedImage,
    Problems,
    Shape,
)
from labeler_api.imports.readers.masks import Masks
from labeler_api.imports.readers.outlines import MalformedShape
from labeler_api.imports.readers.strict_json import BAD, Document, ItemsOf, reason
from labeler_api.text.counted_nouns import counted

_NOTHING = Raw(b"")
_WHOLE = re.compile("0|-?[1-9][0-9]{0,17}")
_LONG_KEY = 40  # longer ones are kept as a digest: a million of them have to fit into memory


class _CocoImage(Struct):
    id: Key
    file_name: str
    width: Any = None
    height: Any = None
    category_ids: list[Key] | None = None


class _Reference(Struct, gc=False):
    """As much of an annotation as says where it belongs."""

    image_id: Key


class _CocoCircle(Struct):
    center: tuple[float, float]
    radius: float


class _CocoAnnotation(Struct, gc=False):
    image_id: Key
    category_id: Key | None = None
    bbox: list[float] | None = None
    segmentation: Raw = _NOTHING
    circle: _CocoCircle | None = None
    polyline: list[float] | None = None
    geometry: dict[str, Any] | None = None
    attributes: Raw = _NOTHING
    iscrowd: Any = None


_IMAGES = ItemsOf(_CocoImage)
_REFERENCES = ItemsOf(_Reference)
_ANNOTATIONS = ItemsOf(_CocoAnnotation)
_ATTRIBUTES = msgspec.json.Decoder(dict[str, Any])


def _slot(key: Key) -> int | str:
    """Spell an id by what it means, in few bytes. Raises Malformed."""
    if type(key) is int:
        return key
    text = meant(key)
    if _WHOLE.fullmatch(text):
        return int(text)
    return text if len(text) <= _LONG_KEY else blake2b(text.encode(), digest_size=20).hexdigest()


def _rotation(attributes: Raw) -> float:
    """Return by how many degrees, clockwise, a box is turned: CVAT's way to say it. Raises Malformed."""
    if attributes is _NOTHING or b'"rotation"' not in bytes(attributes):
        return 0
    try:
        value = _ATTRIBUTES.decode(attributes).get("rotation")
    except BAD:  # told when the attributes are checked
        return 0
    return outlines.degrees(value)


class CocoReader:
    """See `items.Reader`. `tasks` are those of the project."""

    format: ImportFormatName = "coco"

    def __init__(self, document: Document, tasks: Set[str], problems: Problems) -> None:
        self._document = document
        self._problems = problems
        self._takes_outlines = "segmentation" in tasks or "detection" not in tasks
        self._classes = ClassTable(document.items("categories"), "categories", problems)
        self.classes = self._classes.classes
        self._known: dict[int, int] = {}  # the classes that were met, by their id as a whole number
        self.warnings: list[str] = []
        self.images: list[FileImage] = ImageList()
        self._numbers: dict[int | str, int] = {}
        self._twice: set[int | str] = set()  # ids of several images: nobody knows which one an annotation is on
        self._has_labels = False
        self._read_images()
        self._split = self._boxed = self._turned = 0
        self._masks = Masks()

    def is_about_an_image(self, number: int) -> bool:  # noqa: ARG002
        """Whether it is one: always."""
        return True

    def shapes(self, images: Sequence[PlacedImage | None]) -> Iterator[Shape]:  # noqa: ARG002 - needs no sizes
        """Yield what is drawn, then the classes of whole images."""
        for position, annotation in enumerate(self._document.decoded("annotations", _ANNOTATIONS)):
            place = f"annotations[{position}]"
            if isinstance(annotation, Exception):
                self._problems.add(place, reason(annotation))
                continue
            try:
                yield from self._shapes_of(place, annotation)
            except MalformedShape as error:
                self._problems.add(place, str(error))
            except BAD as error:
                self._problems.add(place, reason(error))
        if self._has_labels:
            yield from self._labels()
        self._warn()

    def _labels(self) -> Iterator[Shape]:
        for position, image in enumerate(self._document.decoded("images", _IMAGES)):
            place = f"images[{position}]"
            if isinstance(image, Exception) or not image.category_ids:
                continue
            try:
                slot = _slot(image.id)
            except MalformedShape:  # told when the images were read
                continue
            for key in image.category_ids if slot not in self._twice else ():
                try:
                    number = self._class(key)
                except MalformedShape as error:
                    self._problems.add(place, str(error))
                else:
                    yield Shape(place, self._numbers[slot], "classification", {"type": "classification"}, number)

    def _read_images(self) -> None:
        """Keep those images that something is said about: a file may list a hundred times as many."""
        used = set(self._image_ids())
        known: set[int | str] = set()
        for position, image in enumerate(self._document.decoded("images", _IMAGES)):
            place = f"images[{position}]"
            if isinstance(image, Exception):
                self._problems.add(place, reason(image))
                continue
            try:
                slot = _slot(image.id)
            except MalformedShape as error:
                self._problems.add(f"{place}.id", str(error))
                continue
            if slot in known:
                self._twice.add(slot)
                self._problems.add(f"{place}.id", f"{meant(image.id)} is the id of another image, too")
            known.add(slot)
            if slot in used or image.category_ids:
                self._numbers[slot] = len(self.images)
                self.images.append(FileImage(place, image.file_name, pixels(image.width), pixels(image.height)))
            self._has_labels = self._has_labels or bool(image.category_ids)

    def _image_ids(self) -> Iterator[int | str]:
        for reference in self._document.decoded("annotations", _REFERENCES):
            if type(reference) is not _Reference:  # told when the annotation itself is read
                continue
            key = reference.image_id
            if type(key) is int:
                yield key
                continue
            with suppress(MalformedShape):
                yield _slot(key)

    def _shapes_of(self, place: str, annotation: _CocoAnnotation) -> list[Shape]:
        key = annotation.image_id
        slot = key if type(key) is int else _slot(key)
        image = self._numbers.get(slot)
        if image is None:
            raise MalformedShape(f"its image_id {meant(annotation.image_id)} is not among the images")
        if slot in self._twice:  # told when the images were read
            return []
        number = None if annotation.category_id is None else self._class(annotation.category_id)
        attributes = annotation.attributes
        if attributes is _NOTHING or bytes(memoryview(attributes)[:5]) in (b"", b"null"):
            attributes = NO_ATTRIBUTES
        drawn = self._drawn(annotation)  # all of it, or nothing
        return [Shape(place, image, kind, geometry, number, attributes) for kind, geometry in drawn]

    def _drawn(self, annotation: _CocoAnnotation) -> list[tuple[str, Geometry]]:
        if annotation.circle is not None:
            return [("circle", outlines.Circle(annotation.circle.center, annotation.circle.radius))]
        if annotation.polyline is not None:
            return [("polyline", outlines.polyline(annotation.polyline))]
        if annotation.geometry is not None:
            return [("rotated_bbox", annotation.geometry)]
        return self._region(annotation)

    def _region(self, annotation: _CocoAnnotation) -> list[tuple[str, Geometry]]:
        has_outline = annotation.segmentation is not _NOTHING and outlines.is_there(annotation.segmentation)
        if has_outline and (self._takes_outlines or not annotation.bbox):
            if outlines.is_mask(annotation.segmentation):
                rings = self._masks.rings(annotation.segmentation, is_crowd=bool(annotation.iscrowd))
            else:
                rings = outlines.rings(annotation.segmentation)
                self._split += len(rings) > 1
            return [("polygon", outlines.polygon(ring)) for ring in rings]
        if not annotation.bbox:
            raise MalformedShape("it has neither a box nor an outline")
        if len(annotation.bbox) != 4:  # noqa: PLR2004 - left, top, width, height
            raise MalformedShape("its bbox has not four numbers")
        self._boxed += has_outline
        if degrees := _rotation(annotation.attributes):
            self._turned += 1
            return [("rotated_bbox", outlines.turned_box(annotation.bbox, degrees))]
        return [("bbox", outlines.Box(annotation.bbox))]

    def _class(self, key: Key) -> int:
        number = self._known.get(key) if type(key) is int else None
        if number is None:
            number = self._classes.number(key)
            if number is None:
                raise MalformedShape(f"its class {meant(key)} is not among the categories")
            if type(key) is int:  # 1.0 is equal to it, and spelled apart
                self._known[key] = number
        return number

    def _warn(self) -> None:
        if self._split:
            self.warnings.append(
                f"{counted(self._split, 'annotation has', 'annotations have')} an outline of several rings; "
                "each ring became a polygon of its own."
            )
        self.warnings += self._masks.warnings()
        if self._turned:
            self.warnings.append(outlines.about_turned(self._turned))
        if self._boxed:
            has, boxes = ("annotation has", "box was") if self._boxed == 1 else ("annotations have", "boxes were")
            self.warnings.append(
                f"{self._boxed} {has} an outline and a box. The project has the task detection and not "
                f"segmentation, so the {boxes} taken."
            )
