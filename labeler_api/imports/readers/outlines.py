"""Numbers of a file into the geometry that annotations have (contract, 7.2)."""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from labeler_api.imports.readers.items import Outline

_MIN_NUMBERS = 6  # three points

_RINGS = msgspec.json.Decoder(list[list[float]])
_RING = msgspec.json.Decoder(list[float])


class Malformed(ValueError):
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


def polygon(ring: list[float]) -> Polygon:
    """Make a polygon of x1, y1, x2, y2, …"""
    if len(ring) < _MIN_NUMBERS:
        raise Malformed("an outline needs three points or more")
    return Polygon(points(ring))


def polyline(numbers: list[float]) -> Polyline:
    """Make a polyline of x1, y1, x2, y2, …"""
    return Polyline(points(numbers))


def points(numbers: list[float]) -> list[list[float]]:
    """Pair coordinates up."""
    if len(numbers) % 2:
        raise Malformed("it has an x without its y")
    return [[x, y] for x, y in zip(numbers[::2], numbers[1::2], strict=True)]


def rings(segmentation: Raw) -> list[list[float]]:
    """Read COCO's `segmentation`: rings of coordinates, or a single one; empty where there is no outline.

    Raises Malformed for a mask (RLE): its outline cannot be kept as polygons without losing its holes.
    """
    start = bytes(memoryview(segmentation)[:2])
    if start in (b"", b"nu", b"[]"):
        return []
    if start[:1] == b"{":
        raise Malformed("its outline is a mask (RLE); turn it into polygons, or leave it out")
    try:
        return _RINGS.decode(segmentation)
    except msgspec.ValidationError:
        return [_RING.decode(segmentation)]
