"""What a TIFF takes to decode, from its tags: Pillow's pixels, and what libtiff has in its hands of them at once."""

from PIL import ExifTags, Image

_TILE_ROWS, _STRIP_ROWS = 323, 278  # TIFF 6.0: TileLength, RowsPerStrip
_LIBRARY_BYTES = 4  # of a pixel, where libtiff makes the colours itself
_SIDEWAYS = frozenset({5, 6, 7, 8})  # orientations that swap width and height


def decoded_bytes(image: Image.Image, pixel_bytes: int) -> int:
    """Bytes for all pixels, one more time where Pillow turns them upright, and for a strip or a row of tiles."""
    tags = image.tag_v2  # type: ignore[attr-defined]
    width, height = image.size
    orientation = tags.get(ExifTags.Base.Orientation, 1)
    if orientation in _SIDEWAYS:
        width, height = height, width
    rows = tags.get(_TILE_ROWS) or tags.get(_STRIP_ROWS)
    at_once = min(rows, height) if isinstance(rows, int) and rows > 0 else height
    if image.info.get("compression") == "raw":  # read without the library
        at_once = 0
    copies = 1 if orientation == 1 else 2
    return width * height * pixel_bytes * copies + width * at_once * _LIBRARY_BYTES
