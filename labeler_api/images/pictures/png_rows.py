"""A large PNG, a strip of its rows at a time. Pillow holds every pixel: 1.1 GiB for a picture of 300 million.

The rows of a PNG that is not interlaced come one after the other: a byte that names a filter, and the row. The
filter computes each byte from the one before it and from the row above (https://www.w3.org/TR/png-3/, sections 7.2, 9
and 10). So Pillow's own decoder gets a few rows with the one above them, and the last decoded row is kept for the next.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from PIL import Image

from labeler_api.images.pictures.shrinking import rows_of_a_strip

_SIGNATURE_BYTES = 8
_HEADER_BYTES = 13
_READ_BYTES = 64 * 1024
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the type of colour
_PALETTE = 3
# The mode of Pillow for pixels of each size in bytes: it keeps the bytes as they are, whatever they mean.
_OPAQUE = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_DEEP = {6: "RGB", 8: "RGBA"}  # 16 bits a channel, of which Pillow keeps the upper 8


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of a PNG lie in it."""

    width: int
    height: int
    depth: int
    colour: int

    @property
    def pixel_bytes(self) -> int:
        """How far the filters look back: a whole pixel, at least a byte."""
        return max(1, self.depth * _CHANNELS[self.colour] // 8)

    @property
    def row_bytes(self) -> int:
        """The bytes of a row without its filter."""
        return -(-self.width * self.depth * _CHANNELS[self.colour] // 8)


def layout(file: IO[bytes]) -> Layout | None:
    """Read the header of a PNG from its beginning; None where rows do not come one after the other."""
    file.seek(_SIGNATURE_BYTES + 8)
    header = file.read(_HEADER_BYTES)
    file.seek(0)
    if len(header) < _HEADER_BYTES or header[12] or header[9] not in _CHANNELS:
        return None
    return Layout(int.from_bytes(header[:4]), int.from_bytes(header[4:8]), header[8], header[9])


def strips(file: IO[bytes], image: Image.Image, rows: Layout) -> Iterator[Image.Image]:
    """Yield the picture from its top, strip by strip, in modes of 8 bits. `image` is the same file, opened by Pillow.

    Raises OSError or zlib.error for a picture that is damaged.
    """
    above = bytes(rows.row_bytes)  # there is none above the first: it counts as zeros
    data = _Inflated(file)
    at_once = rows_of_a_strip(rows.width)
    for top in range(0, rows.height, at_once):
        count = min(at_once, rows.height - top)
        filtered = b"\0" + above + data.take(count * (rows.row_bytes + 1))
        strip, above = _unfiltered(zlib.compress(filtered, 0), count + 1, rows)
        yield _pixels(strip.crop((0, 1, strip.width, count + 1)), image, rows)


def _unfiltered(data: bytes, count: int, rows: Layout) -> tuple[Image.Image, bytes]:
    """Let Pillow take the filters off; returns the rows and the bytes of the last."""
    if (mode := _DEEP.get(rows.pixel_bytes)) is not None:
        # The filters work on each byte of a pixel by itself: the upper bytes are one picture, the lower another.
        size = (rows.width, count)
        upper = Image.frombytes(mode, size, data, "zip", f"{mode};16B", 0)
        lower = Image.frombytes(mode, size, data, "zip", f"{mode};16L", 0)
        last = bytearray(rows.row_bytes)
        last[0::2], last[1::2] = _row(upper, count - 1), _row(lower, count - 1)
        return upper, bytes(last)
    mode = _OPAQUE[rows.pixel_bytes]
    strip = Image.frombytes(mode, (rows.row_bytes // rows.pixel_bytes, count), data, "zip", mode, 0)
    return strip, _row(strip, count - 1)


def _row(strip: Image.Image, number: int) -> bytes:
    return strip.crop((0, number, strip.width, number + 1)).tobytes()


def _pixels(strip: Image.Image, image: Image.Image, rows: Layout) -> Image.Image:
    """Give the bytes their meaning."""
    if rows.pixel_bytes in _DEEP:
        return strip
    if rows.depth == 16:  # noqa: PLR2004 - of 16 bits the upper 8
        return Image.merge(_OPAQUE[rows.pixel_bytes // 2], strip.split()[::2])
    if rows.depth == 8 and rows.colour != _PALETTE:  # noqa: PLR2004
        return strip
    size, (rawmode, *_) = (rows.width, strip.height), _arguments(image)
    found = Image.frombytes(image.mode, size, strip.tobytes(), "raw", rawmode)
    if image.palette is not None:
        found.putpalette(image.palette.palette, image.palette.mode)
    if "transparency" in image.info:
        found.info["transparency"] = image.info["transparency"]
    return found


def _arguments(image: Image.Image) -> tuple[str, ...]:
    """How Pillow calls the file's own order of bits."""
    arguments = image.tile[0].args  # type: ignore[attr-defined]
    return arguments if isinstance(arguments, tuple) else (arguments,)


class _Inflated:
    """The bytes of all rows, as they are asked for."""

    def __init__(self, file: IO[bytes]) -> None:
        self._pieces = _inflated(file)
        self._rest = b""

    def take(self, count: int) -> bytes:
        taken, have = [self._rest], len(self._rest)
        while have < count:
            piece = next(self._pieces, b"")
            if not piece:
                raise OSError("image file is truncated")
            taken.append(piece)
            have += len(piece)
        found = b"".join(taken)
        self._rest = found[count:]
        return found[:count]


def _inflated(file: IO[bytes]) -> Iterator[bytes]:
    inflate = zlib.decompressobj()
    for piece in _compressed(file):
        left = piece
        while left and not inflate.eof:
            if found := inflate.decompress(left, _READ_BYTES):
                yield found
            left = inflate.unconsumed_tail
    if found := inflate.flush(_READ_BYTES):
        yield found


def _compressed(file: IO[bytes]) -> Iterator[bytes]:
    """Yield what the chunks IDAT hold."""
    file.seek(_SIGNATURE_BYTES)
    while len(head := file.read(8)) == 8:  # noqa: PLR2004 - length and type
        left, kind = int.from_bytes(head[:4]), head[4:]
        if kind == b"IEND":
            return
        if kind != b"IDAT":
            file.seek(left + 4, 1)
            continue
        while left:
            piece = file.read(min(left, _READ_BYTES))
            if not piece:
                return
            left -= len(piece)
            yield piece
        file.seek(4, 1)  # its checksum: Pillow does not look at it either, and the stream has one of its own
