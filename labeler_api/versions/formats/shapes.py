"""Plain numbers out of stored geometries (contract#geometry). None where a geometry has not the shape: old rows may."""

from collections.abc import Mapping, Sequence
from itertools import chain
from math import pi
from typing import Any

from labeler_api.annotations.geometry import MAX_PIXELS

Point = tuple[float, float]
Box = list[float]

# Products and differences of coordinates with 2 decimals have 4; the rest is the noise of binary fractions.
_DECIMALS = 4
_BOX_NUMBERS = 4
_MIN_RING = 3


def box_of(geometry: Mapping[str, Any]) -> Box | None:
    """Read `bbox: [x, y, w, h]`, or the older `x, y, width, height`."""
    values = geometry.get("bbox")
    if values is None:
        values = [geometry.get(name) for name in ("x", "y", "width", "height")]
    if not isinstance(values, list) or len(values) != _BOX_NUMBERS or not all(map(_is_number, values)):
        return None
    return [float(value) for value in values]


def points_of(geometry: Mapping[str, Any]) -> list[Point] | None:
    """Read `points: [[x, y], …]`."""
    points = geometry.get("points")
    if not isinstance(points, list) or not all(map(_is_point, points)):
        return None
    return [(float(x), float(y)) for x, y in points]


def ring_of(geometry: Mapping[str, Any]) -> list[Point] | None:
    """Read the points of a polygon: three or more."""
    points = points_of(geometry)
    return points if points is not None and len(points) >= _MIN_RING else None


def circle_of(geometry: Mapping[str, Any]) -> tuple[Point, float] | None:
    """Read `center: [x, y]` and `radius`."""
    center, radius = geometry.get("center"), geometry.get("radius")
    if not _is_point(center) or not _is_number(radius):
        return None
    return (float(center[0]), float(center[1])), float(radius)  # type: ignore[index,arg-type]


def rotated_box_of(geometry: Mapping[str, Any]) -> Box | None:
    """Return the upright box around a rotated one, whose shape nobody defined: corners, or a box beside an angle."""
    points = points_of(geometry)
    return around(points) if points else box_of(geometry)


def upright_box_of(kind: str, geometry: Mapping[str, Any]) -> Box | None:
    """Return the upright box of a region of this annotation type; None for what is no region."""
    match kind:
        case "bbox":
            return box_of(geometry)
        case "rotated_bbox":
            return rotated_box_of(geometry)
        case "polygon" | "polyline":
            points = points_of(geometry)
            return around(points) if points else None
        case "circle":
            circle = circle_of(geometry)
            return around_circle(*circle) if circle else None
    return None


def outline_of(kind: str, geometry: Mapping[str, Any]) -> list[Point] | None:
    """Return the ring of a polygon, or the corners of the upright box of another region."""
    if kind == "polygon":
        return ring_of(geometry)
    box = upright_box_of(kind, geometry)
    return corners(box) if box else None


def corners(box: Box) -> list[Point]:
    """Return the corners of a box, clockwise from the left upper one."""
    left, top, width, height = box
    return [(left, top), (left + width, top), (left + width, top + height), (left, top + height)]


def box_area(box: Box) -> float:
    """Multiply width and height."""
    return round(box[2] * box[3], _DECIMALS)


def around(points: Sequence[Point]) -> Box:
    """Return the smallest upright box that holds the points."""
    left, top = min(x for x, _ in points), min(y for _, y in points)
    right, bottom = max(x for x, _ in points), max(y for _, y in points)
    return [left, top, round(right - left, _DECIMALS), round(bottom - top, _DECIMALS)]


def around_circle(center: Point, radius: float) -> Box:
    """Return the smallest upright box that holds the circle."""
    side = round(2 * radius, _DECIMALS)
    return [round(center[0] - radius, _DECIMALS), round(center[1] - radius, _DECIMALS), side, side]


def circle_area(radius: float) -> float:
    """Return the area of a circle."""
    return round(pi * radius * radius, _DECIMALS)


def ring_area(points: Sequence[Point]) -> float:
    """Return the area inside a ring, by the shoelace formula."""
    following = chain(points[1:], points[:1])
    doubled = sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(points, following, strict=True))
    return round(abs(doubled) / 2, _DECIMALS)


def flat(points: Sequence[Point]) -> list[float]:
    """Return x1, y1, x2, y2, …"""
    return [value for point in points for value in point]


def _is_number(value: object) -> bool:
    """Whether it is a number of pixels; old rows may hold others, whose products no file could hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_PIXELS


def _is_point(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and _is_number(value[0]) and _is_number(value[1])  # noqa: PLR2004
