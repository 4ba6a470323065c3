"""Annotation types, the task each belongs to, and the shape of their geometry (contract#geometry).

Geometry is checked, and then stored as it was sent: other keys, `type` included, pass through untouched.
Coordinates are pixels of the displayed image; outside of it is allowed, since pasted shapes are not clipped.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from labeler_api.errors import BadRequest, Invalid, invalid
from labeler_api.http.input.decoding import from_validation
from labeler_api.http.input.json_rules import Broken, check_numbers, stored_bytes

MAX_POINTS = 10_000  # contract#geometry
MAX_PIXELS = 1e7  # contract#geometry: products and sums of such numbers are finite wherever they are written
# As PostgreSQL writes them; a page carries a thousand annotations. Ten thousand points take 440 KB at most, as
# JavaScript and Python write doubles, and what tools add to an annotation takes a few hundred bytes.
MAX_ATTRIBUTES_BYTES = 64 * 1024
MAX_GEOMETRY_BYTES = 1024 * 1024
MAX_TASK_CHARACTERS = 50  # the width of the column

TASK_OF_TYPE = {
    "bbox": "detection",
    "rotated_bbox": "detection",
    "polygon": "segmentation",
    "polyline": "geometry",
    "circle": "geometry",
    "classification": "classification",
}
NO_OBJECT = "no_object"

Coordinate = Annotated[float, Meta(ge=-MAX_PIXELS, le=MAX_PIXELS)]
Point = tuple[Coordinate, Coordinate]
# A box or a circle without an area shows nothing, and training tools refuse it.
Length = Annotated[float, Meta(gt=0, le=MAX_PIXELS)]
_Size = Annotated[float, Meta(ge=0, le=MAX_PIXELS)]


class _Shape(Struct):
    """What every geometry may have. Keyboard edits, undo and paste leave the size of the image out."""

    type: str | None = None
    image_width: _Size | None = None
    image_height: _Size | None = None


class _Box(_Shape, kw_only=True):
    bbox: tuple[Coordinate, Coordinate, Length, Length]


class LegacyBox(_Shape, kw_only=True):
    """The form without `type` that older imports wrote."""

    x: Coordinate
    y: Coordinate
    width: Length
    height: Length


class _Polygon(_Shape, kw_only=True):
    points: Annotated[list[Point], Meta(min_length=3, max_length=MAX_POINTS)]


class _Polyline(_Shape, kw_only=True):
    points: Annotated[list[Point], Meta(min_length=2, max_length=MAX_POINTS)]


class _Circle(_Shape, kw_only=True):
    center: Point
    radius: Length


class _Free(_Shape, kw_only=True):
    """Types without a defined shape; points, where there are any, are points."""

    points: Annotated[list[Point], Meta(max_length=MAX_POINTS)] | None = None


_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_JSON_OBJECT = msgspec.json.Decoder(dict[str, Any])
SHAPES: dict[str, type[Struct]] = {
    "bbox": _Box,
    "rotated_bbox": _Free,
    "polygon": _Polygon,
    "polyline": _Polyline,
    "circle": _Circle,
    "classification": _Free,
    NO_OBJECT: _Free,
}
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {name: msgspec.json.Decoder(kind) for name, kind in SHAPES.items()}
_LEGACY_BOX = msgspec.json.Decoder(LegacyBox)


def task_of(annotation_type: str, attributes: dict[str, Any]) -> str:
    """Return the task that an annotation belongs to; a `no_object` says it in its attributes.

    The task need not be one of the project's (contract#annotations). Raises BadRequest for an unknown type and for a
    `no_object` without a task.
    """
    if annotation_type in TASK_OF_TYPE:
        return TASK_OF_TYPE[annotation_type]
    if annotation_type != NO_OBJECT:
        known = ", ".join([*TASK_OF_TYPE, NO_OBJECT])
        raise BadRequest(f"The annotation type has to be one of {known}.", code="unknown_annotation_type")
    task = attributes.get("task_type")
    if not isinstance(task, str) or not 0 < len(task) <= MAX_TASK_CHARACTERS:
        raise BadRequest(
            "A no_object annotation says which task it is about: "
            'send the task\'s name in the attributes, as in {"task_type": "detection"}.',
            code="task_missing",
        )
    return task


def check_geometry(annotation_type: str, geometry: msgspec.Raw) -> None:
    """Raise Invalid, with the place, unless a geometry that nobody has judged is right in every way."""
    check_size(geometry, "geometry", MAX_GEOMETRY_BYTES)
    try:
        check_numbers(bytes(geometry))
    except Broken as error:
        raise invalid(str(error), "body", "geometry") from None
    checked_shape(annotation_type, geometry)


def checked_shape(annotation_type: str, geometry: msgspec.Raw) -> msgspec.Raw:
    """Return the geometry as it is to be stored. Raises Invalid, with the place, unless it has its type's shape.

    The frontend calls a polyline a polygon when one of its points is moved by an arrow key.
    """
    present = _members(geometry)
    decoder = _DECODERS.get(annotation_type, _DECODERS[NO_OBJECT])
    if annotation_type == "bbox" and "bbox" not in present and {"x", "y", "width", "height"} & present.keys():
        decoder = _LEGACY_BOX
    try:
        decoder.decode(geometry)
    except msgspec.ValidationError as error:
        raise _at(from_validation(error, "geometry")) from None
    named = msgspec.json.decode(present["type"]) if "type" in present else None
    if (annotation_type, named) == ("polyline", "polygon"):
        present["type"] = msgspec.Raw(b'"polyline"')
        return msgspec.Raw(msgspec.json.encode(present))
    if named != annotation_type and named in SHAPES:
        raise invalid(f"is {named}, but the annotation's type is {annotation_type}", "body", "geometry", "type")
    return geometry


def check_size(raw: msgspec.Raw, name: str, limit: int) -> None:
    """Raise Invalid when a member of the body takes more bytes than there are for it, as PostgreSQL writes it."""
    text = bytes(raw)
    if (size := len(text)) > limit or (size := stored_bytes(text)) > limit:
        raise invalid(f"takes {size} bytes as it is stored; {limit} are the most", "body", name, code="too_large")


def check_sizes(geometry: msgspec.Raw, attributes: msgspec.Raw) -> None:
    """Raise Invalid when one of them is too large. A megabyte of numbers takes long: call it in a thread then."""
    check_size(geometry, "geometry", MAX_GEOMETRY_BYTES)
    check_size(attributes, "attributes", MAX_ATTRIBUTES_BYTES)


def _members(geometry: msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        return _OBJECT.decode(geometry)
    except msgspec.ValidationError as error:
        raise _at(from_validation(error, "geometry")) from None


def attributes_of(raw: msgspec.Raw) -> dict[str, Any]:
    """Decode the attributes of an annotation. Raises Invalid."""
    return json_object(raw, "attributes")


def json_object(raw: msgspec.Raw, name: str) -> dict[str, Any]:
    """Decode a member of the body that has to be a JSON object. Raises Invalid; numbers have to be finite."""
    try:
        return _JSON_OBJECT.decode(raw)
    except msgspec.ValidationError as error:
        raise _at(from_validation(error, name)) from None
    except (msgspec.DecodeError, RecursionError):  # its syntax was checked with the body: a number beyond all bounds
        raise invalid("holds a number out of range or is nested too deeply", "body", name) from None


def _at(error: Invalid) -> Invalid:
    """Say that the place is in the body; msgspec writes `...` where it knows no key."""
    found: Any = error.extra["errors"]
    steps = [step for step in found[0]["loc"] if step != "..."]
    return invalid(found[0]["message"], "body", *steps)
