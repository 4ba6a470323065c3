"""DICE, the Platform's format and our own export (contract, 10.2): the annotations stand inside their images."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from labeler_api.annotations.geometry import NO_OBJECT
from labeler_api.imports import strict_json
from labeler_api.imports.readers import outlines
from labeler_api.imports.readers.class_table import ClassTable, Key
from labeler_api.imports.readers.items import NO_ATTRIBUTES, FileImage, FormatName, PlacedImage, Problems, Shape
from labeler_api.imports.readers.outlines import Geometry, Malformed

_BAD = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
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


class _Image(Struct):
    file_name: str
    width: int | None = None
    height: int | None = None
    annotations: list[Raw] = []


class _Circle(Struct):
    center: tuple[float, float]
    radius: float


class _Annotation(Struct):
    class_id: Key | None = None
    class_name: str | None = None
    attributes: Raw = _NOTHING
    bbox: tuple[float, float, float, float] | None = None
    bbox_format: str = "xywh"
    segmentation: Raw = _NOTHING
    polyline: list[float] | None = None
    circle: _Circle | None = None
    is_background: bool = False
    type: str | None = None
    geometry: dict[str, Any] | None = None


_IMAGE = msgspec.json.Decoder(_Image)
_ANNOTATION = msgspec.json.Decoder(_Annotation)
_OBJECT = msgspec.json.Decoder(dict[str, Any])
_TEXT = msgspec.json.Decoder(str)


class DiceReader:
    """See `items.Reader`."""

    format: FormatName = "dice"

    def __init__(self, members: dict[str, Raw], problems: Problems) -> None:
        self._problems = problems
        self._task = _task(members)
        self._classes = ClassTable(strict_json.items(members, "classes"), "classes", problems)
        self.classes = self._classes.classes
        self.warnings: list[str] = []
        self.images: list[FileImage] = []
        self._raws: list[tuple[str, Raw]] = []
        self._split = 0
        self._read_images(strict_json.items(members, "images"))

    def _read_images(self, raws: list[Raw]) -> None:
        for position, raw in enumerate(raws):
            place = f"images[{position}]"
            try:
                image = _IMAGE.decode(raw)
            except _BAD as error:
                self._problems.add(place, strict_json.reason(error))
                continue
            if image.annotations:
                self.images.append(FileImage(place, image.file_name, image.width, image.height))
                self._raws.append((place, raw))

    def shapes(self, images: Sequence[PlacedImage | None]) -> Iterator[Shape]:  # noqa: ARG002 - needs no sizes
        """Yield the annotations image by image. Each image is decoded anew, so that one is in memory at a time."""
        for number, (image_place, raw) in enumerate(self._raws):
            for position, annotation in enumerate(_IMAGE.decode(raw).annotations):
                place = f"{image_place}.annotations[{position}]"
                try:
                    yield from self._shapes_of(place, number, _ANNOTATION.decode(annotation))
                except Malformed as error:
                    self._problems.add(place, str(error))
                except _BAD as error:
                    self._problems.add(place, strict_json.reason(error))
        if self._split:
            self.warnings.append(
                f"{self._split} annotations have an outline of several rings; each ring became a polygon of its own."
            )

    def _shapes_of(self, place: str, image: int, annotation: _Annotation) -> Iterator[Shape]:
        attributes = annotation.attributes
        if bytes(memoryview(attributes)[:5]) in (b"", b"null"):
            attributes = NO_ATTRIBUTES
        if annotation.is_background or annotation.class_id == _BACKGROUND:
            yield Shape(place, image, NO_OBJECT, {"type": NO_OBJECT}, None, self._with_task(attributes))
            return
        number = self._class(annotation)
        for kind, geometry in self._drawn(annotation):
            yield Shape(place, image, kind, geometry, number, attributes)

    def _drawn(self, annotation: _Annotation) -> Iterator[tuple[str, Geometry]]:
        if annotation.geometry is not None and annotation.type is not None:
            yield annotation.type, annotation.geometry
        elif annotation.circle is not None:
            yield "circle", outlines.circle(annotation.circle.center, annotation.circle.radius)
        elif annotation.polyline is not None:
            yield "polyline", outlines.polyline(annotation.polyline)
        elif rings := outlines.rings(annotation.segmentation):
            self._split += len(rings) > 1
            for ring in rings:
                yield "polygon", outlines.polygon(ring)
        elif annotation.bbox is not None:
            if annotation.bbox_format != "xywh":
                raise Malformed(f"its box is in the form {annotation.bbox_format[:50]!r}; expected 'xywh'")
            yield "bbox", outlines.box(annotation.bbox)
        elif self._task in ("classification", ""):
            yield "classification", {"type": "classification"}
        else:
            raise Malformed(f"it has no shape, and the file is about {self._task}")

    def _class(self, annotation: _Annotation) -> int | None:
        if annotation.class_id is None:
            return None
        number = self._classes.number(annotation.class_id, annotation.class_name)
        if number is None:
            raise Malformed(f"its class {annotation.class_id} is not among the classes")
        name = self.classes[number].name
        if annotation.class_name not in (None, name):
            raise Malformed(f"its class {annotation.class_id} is {name!r}, and not {annotation.class_name!r}")
        return number

    def _with_task(self, attributes: Raw) -> Raw:
        """Say which task a `no_object` is about; older ones say it nowhere but at the top of the file."""
        told: dict[str, Any] = _OBJECT.decode(attributes)
        if told.get("task_type") or not self._task:
            return attributes
        return Raw(msgspec.json.encode(told | {"task_type": self._task}))


def _task(members: dict[str, Raw]) -> str:
    try:
        word: str = _TEXT.decode(members.get("task_type", Raw(b'""')))
    except _BAD:
        return ""
    return _TASK_OF.get(word, word)
