"""The tags of a TIFF that its pixels need. The others are hidden from the decoder, which gives up at one that is odd.

They are hidden where they stand, by a type that means nothing: each byte of the file keeps its place.
"""

import os
from typing import IO, Literal

from labeler_api.errors import FileRejected
from labeler_api.images.pictures.formats import camera_raw
from labeler_api.images.pictures.spliced_file import Piece, Range

# TIFF 6.0, and its technical notes: sizes, bits, compression, colours, strips and tiles, orientation, JPEG tables.
_NEEDED = {256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325}
_NEEDED |= {332, 334, 338, 339, 347, *range(512, 522), 529, 530, 531, 532}
_SUBFILE, _SUB_DIRECTORIES, _DNG_VERSION = 254, 330, 50706
_REDUCED = 1  # of _SUBFILE: a smaller version of another picture of the file
_PHOTOMETRIC, _SENSOR = 262, {32803, 34892}  # a colour a pixel, or linear light: what DNG keeps
_LONG = 4
_NO_TYPE = b"\0\0"
_MOST_TAGS = 4096


def pieces(file: IO[bytes]) -> list[Piece] | None:
    """Return the file with the tags hidden that nobody needs; None for one that the decoder shall judge as it is.

    Raises FileRejected for a camera's raw file.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    header = file.read(16)
    order: Literal["little", "big"] = "little" if header[:2] == b"II" else "big"
    is_big = header[2:4] in {b"+\0", b"\0+"}
    number, entry_bytes, start = (8, 20, 8) if is_big else (2, 12, 4)
    offset = 8 if is_big else 4

    def value(data: bytes) -> int:
        return int.from_bytes(data, order)

    first = value(header[start : start + offset])
    file.seek(min(first, size))
    count = value(file.read(number))
    entries = file.read(min(count, _MOST_TAGS) * entry_bytes)
    if not 0 < count <= _MOST_TAGS or len(entries) < count * entry_bytes:
        return None
    found: list[Piece] = []
    at, tags = 0, dict[int, int]()
    for index in range(count):
        entry = entries[index * entry_bytes : (index + 1) * entry_bytes]
        place = first + number + index * entry_bytes
        tag, inline = value(entry[:2]), entry[-offset:]
        tags[tag] = value(inline[:4] if value(entry[2:4]) == _LONG else inline[:2])
        if tag not in _NEEDED:
            found += [Range(at, place + 2), _NO_TYPE]
            at = place + 4
    _refuse_raw(tags)
    end = first + number + count * entry_bytes
    # No other picture of the file is looked at, so the way to the next may lead anywhere.
    return [*found, Range(at, end), bytes(offset), Range(min(end + offset, size), size)]


def _refuse_raw(tags: dict[int, int]) -> None:
    is_preview = tags.get(_SUBFILE, 0) & _REDUCED and _SUB_DIRECTORIES in tags
    if _DNG_VERSION in tags or is_preview or tags.get(_PHOTOMETRIC) in _SENSOR:
        raise FileRejected(camera_raw())
