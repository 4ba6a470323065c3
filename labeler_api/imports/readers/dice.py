"""DICE, the Platform's file format (contract#dice), not the Dice score: the annotations stand inside their images."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from labeler_api.annotations.geometry import NO_OBJECT
from labeler_api.http.input.json_pieces import Pieces
from labeler_api.images.upload.schemas import ImportFormatName
from labeler_api.imports.readers import outlines
from labeler_api.imports.readers.class_table import ClassTable, Key, pixels
from labeler_api.imports.readers.items import (
    NO_ATTRIBUTES,
    FileImage,
    Geometry,
    ImageList,
    PlacedImage,
    Problems,
    Shape,
    Unreadable,
)
from labeler_api.imports.readers.outlines import MalformedShape
from labeler_api.imports.readers.strict_json import BAD, MAX_ITEMS, Document, ItemsOf, reason
from labeler_api.text.counted_nouns import counted
from labeler_api.text.names import quoted

_NOTHING = Raw(b"")
_BACKGROUND = -1

# The words of the format for our tasks; every other task goes by its own name.
_TASK_OF = {
    "object_detection": "detection",
    "instance_segmentation": "segmentation",
    "keypoint_detection": "keypoint",
    "line_detection": "line",
    "geometry_detection": "geometry",
}


class _DiceImage(Struct):
    file_name: str
    width: Any = None
    height: Any = None
    annotations: list[Raw] = []


class _DiceCircle(Struct):
    center: tuple[float, float]
    radius: float


class _DiceAnnotation(Struct):
    class_id: Key | None = None
    class_name: str | None = None
    attributes: Raw = _NOTHING
    bbox: tuple[float, float, float, float] | None = None
    bbox_format: str = "xywh"
    segmentation: Raw = _NOTHING
    polyline: list[float] | None = None
    circle: _DiceCircle | None = None
    is_background: bool = False
    type: str | None = None
    geometry: dict[str, Any] | None = None


_IMAGE = msgspec.json.Decoder(_DiceImage)
_ANNOTATIONS = ItemsOf(_DiceAnnotation)
_LIST = msgspec.json.Decoder(list[Raw])
_OBJECT = msgspec.json.Decoder(dict[str, Any])
_TEXT = msgspec.json.Decoder(str)


class DiceReader:
    """See `items.Reader`."""

    format: ImportFormatName = "dice"

    def __init__(self, document: Document, problems: Problems) -> None:
        self._document = document
        self._problems = problems
        self._task = _task(document)
        self._classes = ClassTable(document.items("classes"), "classes", problems)
        self.classes = self._classes.classes
        self.warnings: list[str] = []
        self.images: list[FileImage] = ImageList()
        self._numbers: dict[int, int] = {}  # of the images kept, by their position in the file
        self._split = 0
        self._read_images()

    def _read_images(self) -> None:
        annotations = 0
        for position, pieces in enumerate(self._document.opened("images")):
            place = f"images[{position}]"
            try:
                image, annotated = _image(pieces)
            except BAD as error:
                self._problems.add(place, reason(error))
                continue
            annotations += annotated
            if annotations > MAX_ITEMS:
                raise Unreadable(f"it has more than {MAX_ITEMS} annotations; split the file")
            if annotated:
                self._numbers[position] = len(self.images)
                self.images.append(FileImage(place, image.file_name, pixels(image.width), pixels(image.height)))

    def is_about_an_image(self, number: int) -> bool:  # noqa: ARG002
        """Whether it is one: always."""
        return True

    def shapes(self, images: Sequence[PlacedImage | None]) -> Iterator[Shape]:  # noqa: ARG002 - needs no sizes
        """Yield the annotations image by image, one in memory at a time."""
        for position, pieces in enumerate(self._document.opened("images")):
            number = self._numbers.get(position)
            if number is None:
                pieces.check()
                continue
            for name in pieces.members():
                if name == "annotations":
                    yield from self._annotations(pieces, number)
                else:
                    pieces.check()
        if self._split:
            self.warnings.append(
                f"{counted(self._split, 'annotation has', 'annotations have')} an outline of several rings; "
                "each ring became a polygon of its own."
            )

    def _annotations(self, pieces: Pieces, number: int) -> Iterator[Shape]:
        for position, annotation in enumerate(_read(pieces)):
            place = f"{self.images[number].place}.annotations[{position}]"
            if isinstance(annotation, Exception):
                self._problems.add(place, reason(annotation))
                continue
            try:
                yield from self._shapes_of(place, number, annotation)
            except MalformedShape as error:
                self._problems.add(place, str(error))
            except BAD as error:
                self._problems.add(place, reason(error))

    def _shapes_of(self, place: str, image: int, annotation: _DiceAnnotation) -> Iterator[Shape]:
        attributes = annotation.attributes
        if bytes(memoryview(attributes)[:5]) in (b"", b"null"):
            attributes = NO_ATTRIBUTES
        if annotation.is_background or annotation.class_id == _BACKGROUND:
            yield Shape(place, image, NO_OBJECT, {"type": NO_OBJECT}, None, self._with_task(attributes))
            return
        number = self._class(annotation)
        for kind, geometry in list(self._drawn(annotation)):  # all of it, or nothing
            yield Shape(place, image, kind, geometry, number, attributes)

    def _drawn(self, annotation: _DiceAnnotation) -> Iterator[tuple[str, Geometry]]:
        if annotation.geometry is not None and annotation.type is not None:
            yield annotation.type, annotation.geometry
        elif annotation.circle is not None:
            yield "circle", outlines.Circle(annotation.circle.center, annotation.circle.radius)
        elif annotation.polyline is not None:
            yield "polyline", outlines.polyline(annotation.polyline)
        elif rings := outlines.rings(annotation.segmentation):
            self._split += len(rings) > 1
            for ring in rings:
                yield "polygon", outlines.polygon(ring)
        elif annotation.bbox is not None:
            if annotation.bbox_format != "xywh":
                raise MalformedShape(f"its box is in the form {quoted(annotation.bbox_format)} and has to be xywh")
            yield "bbox", outlines.Box(annotation.bbox)
        elif self._task in ("classification", ""):
            yield "classification", {"type": "classification"}
        else:
            raise MalformedShape(f"it has no shape, and the file is about {self._task}")

    def _class(self, annotation: _DiceAnnotation) -> int | None:
        if annotation.class_id is None:
            return None
        number = self._classes.number(annotation.class_id, annotation.class_name)
        if number is None:
            raise MalformedShape(f"its class {annotation.class_id} is not among the classes")
        name = self.classes[number].name
        if annotation.class_name not in (None, name):
            raise MalformedShape(
                f"its class {annotation.class_id} is {quoted(name)}, and not {quoted(annotation.class_name)}"
            )
        return number

    def _with_task(self, attributes: Raw) -> Raw:
        """Say which task a `no_object` is about; older ones say it nowhere but at the top of the file."""
        told: dict[str, Any] = _OBJECT.decode(attributes)
        if told.get("task_type") or not self._task:
            return attributes
        return Raw(msgspec.json.encode(told | {"task_type": self._task}))


def _image(pieces: Pieces) -> tuple[_DiceImage, int]:
    """Read an image without its annotations, and how many it has. Raises what the decoder raises."""
    if pieces.next() != b"{":
        return _IMAGE.decode(pieces.value()), 0
    known: dict[str, Raw] = {}
    annotated = 0
    for name in pieces.members():
        if name == "annotations" and pieces.next() == b"[":
            annotated = _count(pieces)
        elif name in _DiceImage.__struct_fields__:
            known[name] = Raw(pieces.value())
        else:
            pieces.check()
    return _IMAGE.decode(msgspec.json.encode(known)), annotated


def _count(pieces: Pieces) -> int:
    if (short := pieces.short()) is not None:
        return len(_LIST.decode(short))
    number = 0
    for _ in pieces.items():
        number += 1
        pieces.check()
    return number


def _read(pieces: Pieces) -> Iterator[_DiceAnnotation | Exception]:
    """Yield the annotations of an image, all decoded at once where they are short; else one in memory at a time."""
    if (short := pieces.short()) is not None:
        yield from _ANNOTATIONS.decode(short)
        return
    for _ in pieces.items():
        yield from _ANNOTATIONS.decode(b"[%b]" % pieces.value())


def _task(document: Document) -> str:
    try:
        word: str = _TEXT.decode(document.word("task_type") or Raw(b'""'))
    except BAD:
        return ""
    return _TASK_OF.get(word, word)
