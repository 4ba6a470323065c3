"""Numbers of a file into the geometry that annotations have (contract#geometry)."""

import re
from collections.abc import Sequence
from math import cos, isfinite, nan, radians, sin
from typing import Any

import msgspec
from msgspec import Raw

from labeler_api.imports.readers.items import Geometry, Outline
from labeler_api.text.counted_nouns import counted
from labeler_api.text.names import quoted

_MIN_NUMBERS = 6  # three points
_WHOLE_TURN = 360.0
_DECIMALS = 4  # of a corner; nobody draws finer than with two
_NO_OUTLINE = re.compile(rb"\s*(?:null|\[[\s\[\],]*\])?\s*")  # [] and [[]], which converters write beside a box
_MOST_OF_NONE = 200  # bytes; nobody writes dozens of empty rings

_RINGS = msgspec.json.Decoder(list[list[float]])
_RING = msgspec.json.Decoder(list[float])


class MalformedShape(ValueError):
    """A shape is not what its format says; the text says in which way."""


class Box(Outline, tag="bbox"):
    """Left, top, width and height."""

    bbox: Sequence[float]


class Polygon(Outline, tag="polygon"):
    """Three points or more."""

    points: list[list[float]]


class Polyline(Outline, tag="polyline"):
    """Two points or more."""

    points: list[list[float]]


class Circle(Outline, tag="circle"):
    """A point and a length."""

    center: tuple[float, float]
    radius: float


def degrees(value: Any) -> float:
    """Read an angle, a whole turn being none. Raises Malformed."""
    try:
        angle = 0.0 if value is None or value == "" else float(value)
    except (TypeError, ValueError):
        angle = nan
    if not isfinite(angle):
        raise MalformedShape(f"its rotation {quoted(str(value))} is no number of degrees")
    return angle % _WHOLE_TURN


def turned_box(numbers: Sequence[float], clockwise: float) -> Geometry:
    """Make a box that is turned about its centre: the box, the angle, and its corners from the left upper one on."""
    left, top, width, height = numbers
    if min(width, height) <= 0:
        raise MalformedShape("its bbox has no area")
    x, y = left + width / 2, top + height / 2
    across, down = cos(radians(clockwise)), sin(radians(clockwise))
    corners = [
        [round(x + a * across - b * down, _DECIMALS), round(y + a * down + b * across, _DECIMALS)]
        for a, b in ((left - x, top - y), (x - left, top - y), (x - left, y - top), (left - x, y - top))
    ]
    return {"type": "rotated_bbox", "bbox": list(numbers), "rotation": clockwise, "points": corners}


def about_turned(number: int) -> str:
    """Warn about boxes that became rotated ones: the editor has no tool for them."""
    boxes = counted(number, "box has a rotation; it became", "boxes have a rotation; they became")
    return f"{boxes} rotated_bbox, which keeps the angle and has the corners."


def polygon(ring: list[float]) -> Polygon:
    """Make a polygon of x1, y1, x2, y2, …"""
    if len(ring) < _MIN_NUMBERS:
        raise MalformedShape("an outline needs three points or more")
    return Polygon(points(ring))


def polyline(numbers: list[float]) -> Polyline:
    """Make a polyline of x1, y1, x2, y2, …"""
    return Polyline(points(numbers))


def points(numbers: list[float]) -> list[list[float]]:
    """Pair coordinates up."""
    if len(numbers) % 2:
        raise MalformedShape("it has an x without its y")
    return [[x, y] for x, y in zip(numbers[::2], numbers[1::2], strict=True)]


def rings(segmentation: Raw) -> list[list[float]]:
    """Read COCO's `segmentation`: rings of coordinates, or a single one; empty where there is no outline.

    An empty ring says nothing and is left out.
    """
    if not is_there(segmentation):
        return []
    try:
        return [ring for ring in _RINGS.decode(segmentation) if ring]
    except msgspec.ValidationError:
        return [_RING.decode(segmentation)]


def is_mask(segmentation: Raw) -> bool:
    """Whether it is a mask (RLE)."""
    return bytes(memoryview(segmentation)[:1]) == b"{"


def is_there(segmentation: Raw) -> bool:
    """Whether it is an outline at all."""
    text = memoryview(segmentation)
    return len(text) > _MOST_OF_NONE or not _NO_OUTLINE.fullmatch(bytes(text))
