"""The one rule for orientation: that of browsers, which draw what people label.

A picture is turned by the entry Orientation of its EXIF block (EXIF 2.32, 4.6.4): a whole number of 16 bits, in the
first directory. What XMP or a text says is not followed. The other entries are not looked at: one that is cut, or
leads beyond the end, makes the orientation no less true. A TIFF is such a block itself, and Pillow turns it.
"""

from collections.abc import Mapping
from typing import Literal

from PIL import ExifTags, Image

SIDEWAYS = frozenset({5, 6, 7, 8})
"""Orientations that swap width and height."""

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How to turn a picture of an orientation upright."""

_PREFIX = b"Exif\0\0"  # of a JPEG's; some programs write it in a WebP, too
_HEADERS: Mapping[bytes, Literal["little", "big"]] = {b"II*\0": "little", b"MM\0*": "big"}
_ENTRY_BYTES = 12
_SHORT = 3


def orientation(block: bytes | None) -> int:
    """Read the orientation of an EXIF block: 1 to 8, and 1 where it says none."""
    tiff = (block or b"").removeprefix(_PREFIX)
    order = _HEADERS.get(tiff[:4])
    if order is None:
        return 1

    def number(start: int, size: int) -> int:
        return int.from_bytes(tiff[start : start + size], order)

    first = number(4, 4)
    for entry in range(first + 2, first + 2 + number(first, 2) * _ENTRY_BYTES, _ENTRY_BYTES):
        if entry + _ENTRY_BYTES > len(tiff):
            break
        if (number(entry, 2), number(entry + 2, 2), number(entry + 4, 4)) == (ExifTags.Base.Orientation, _SHORT, 1):
            value = number(entry + 8, 2)
            return value if value in UPRIGHT else 1
    return 1
