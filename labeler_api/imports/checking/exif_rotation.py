"""Turns shapes that were drawn on the unturned picture (EXIF orientation).

Tools that ignore the orientation give the image its unturned size, and draw on it unturned. Where the upload has
noted the orientation, their shapes are turned; elsewhere they are refused by `drafts`.
"""

from collections.abc import Callable

from msgspec.structs import replace

from labeler_api.images.pictures.orientation import SIDEWAYS
from labeler_api.imports.readers.items import FileImage, Geometry, PlacedImage, Shape
from labeler_api.imports.readers.outlines import Box, Circle, Polygon, Polyline

Turn = Callable[[float, float], tuple[float, float]]


def is_turned(image: FileImage, one: PlacedImage) -> bool:
    """Whether the file has exactly the size of the image before its orientation was applied, if that is known."""
    return (
        one.orientation in SIDEWAYS
        and image.width != image.height
        and (image.width, image.height) == (one.height, one.width)
    )


def rotated_shape(shape: Shape, image: FileImage, one: PlacedImage | None) -> Shape | None:
    """Turn a shape; None where nobody knows how, or it is of a kind that has an angle of its own."""
    if one is None or not is_turned(image, one) or image.width is None or image.height is None:
        return None
    geometry = _geometry(shape.geometry, _turn(one.orientation, image.width, image.height))
    return None if geometry is None else replace(shape, geometry=geometry)


def _turn(orientation: int | None, width: int, height: int) -> Turn:
    """How a point of the unturned picture moves; the sizes are those of the unturned one."""
    turns: dict[int | None, Turn] = {
        5: lambda x, y: (y, x),
        6: lambda x, y: (height - y, x),
        7: lambda x, y: (height - y, width - x),
        8: lambda x, y: (y, width - x),
    }
    return turns[orientation]


def _geometry(geometry: Geometry, turn: Turn) -> Geometry | None:
    match geometry:
        case Box(bbox=[left, top, width, height]):
            one, other = turn(left, top), turn(left + width, top + height)
            return Box([min(one[0], other[0]), min(one[1], other[1]), height, width])
        case Polygon():
            return Polygon([list(turn(x, y)) for x, y in geometry.points])
        case Polyline():
            return Polyline([list(turn(x, y)) for x, y in geometry.points])
        case Circle():
            return Circle(turn(*geometry.center), geometry.radius)
    return None
