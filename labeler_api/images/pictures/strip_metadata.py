"""A picture without its metadata: odd or cut metadata is no reason to refuse the pixels.

What decoding needs stays. The EXIF block is read here, too, for the orientation; nothing else of it is used.
"""

import os
import re
from dataclasses import dataclass
from typing import IO

from labeler_api.images.pictures import tiff_tags
from labeler_api.images.pictures.formats import Kind
from labeler_api.images.pictures.spliced_file import Piece, Range, spliced

Found = tuple[list[Piece], bytes | None]  # what is kept, and the EXIF block

_MOST_PARTS = 100_000  # segments or chunks; a picture with more is given to the decoder as it is
_PNG_SIGNATURE_BYTES, _PNG_HEADER_BYTES = 8, 25
_PNG_NEEDED = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_TRANSPARENCY_BYTES = {0: (2, 2), 2: (6, 6), 3: (1, 256)}  # of tRNS, by the type of colour
_EXIF_BYTES = 1024 * 1024  # a JPEG's has 64 KiB; the orientation stands at the beginning
_JFIF_BYTES, _ADOBE_BYTES = 14, 12  # as long as they have to be; they say what the numbers of a colour mean
_READ_BYTES = 64 * 1024
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_SOI, _SOS, _COM, _APP0, _APP1, _APP14 = 0xD8, 0xDA, 0xFE, 0xE0, 0xE1, 0xEE
_ALONE = {0x01, *range(0xD0, 0xD8)}  # markers without a length
_WEBP_HEADER_BYTES = 12
_WEBP_PICTURE = {b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L"}
_WEBP_SAID = 0x20 | 0x08 | 0x04  # flags of VP8X: colour profile, EXIF, XMP
_WEBP_EXIF = 0x08


@dataclass(frozen=True, slots=True)
class StrippedPicture:
    """The picture for the decoder, and the EXIF block that browsers look at."""

    file: IO[bytes]
    exif: bytes | None = None


def strip_metadata(file: IO[bytes], kind: Kind) -> StrippedPicture:
    """Leave out the metadata of a picture. Raises FileRejected for a raw file, which only looks like a TIFF."""
    file.seek(0)
    if kind == "TIFF":
        pieces = tiff_tags.pieces(file)
        return StrippedPicture(file if pieces is None else spliced(file, pieces, keeps_places=True))
    walk = {"JPEG": _jpeg, "PNG": _png, "WEBP": _webp}.get(kind)
    found = walk(file, _size(file)) if walk is not None else None
    if found is None:
        file.seek(0)
        return StrippedPicture(file)
    pieces, exif = found
    return StrippedPicture(spliced(file, pieces), exif)


def _size(file: IO[bytes]) -> int:
    return file.seek(0, os.SEEK_END)


def _jpeg(file: IO[bytes], size: int) -> Found | None:
    """Keep everything from the first scan on, and before it all but applications' segments and comments."""
    pieces: list[Piece] = [Range(0, 2)]
    exif: bytes | None = None
    position = 2
    for _ in range(_MOST_PARTS):
        start = _next_marker(file, position)
        file.seek(start)
        head = file.read(4)
        marker = head[1] if len(head) == 4 else _SOS  # noqa: PLR2004 - cut: for the decoder to tell
        if marker in {_SOS, _SOI}:
            return [*pieces, Range(start, size)], exif
        end = start + 2 if marker in _ALONE else start + 2 + max(2, int.from_bytes(head[2:]))
        if marker == _COM or _APP0 <= marker <= _APP0 + 15:
            begins = file.read(min(end - start - 4, _EXIF_BYTES))
            if marker == _APP1 and exif is None and begins.startswith(b"Exif\0"):
                exif = begins
            if _says_colour(marker, begins):
                pieces.append(Range(start, min(end, size)))
        else:
            pieces.append(Range(start, min(end, size)))
        position = end
    return None


def _next_marker(file: IO[bytes], position: int) -> int:
    """Where the next marker begins: decoders pass over what a segment of a wrong length left before it."""
    file.seek(position)
    rest = b""
    while chunk := file.read(_READ_BYTES):
        data = rest + chunk
        if (found := _MARKER.search(data)) is not None:
            return position + found.start()
        rest = data[-1:]
        position += len(data) - len(rest)
    return position


def _says_colour(marker: int, content: bytes) -> bool:
    if marker == _APP0:
        return content.startswith(b"JFIF\0") and len(content) >= _JFIF_BYTES
    return marker == _APP14 and content.startswith(b"Adobe") and len(content) >= _ADOBE_BYTES


def _png(file: IO[bytes], size: int) -> Found | None:
    """Keep the chunks that make the picture, up to the last of its data: no frames of an animation, no texts."""
    pieces: list[Piece] = [Range(0, _PNG_SIGNATURE_BYTES)]
    exif: bytes | None = None
    colour, has_data, position = -1, False, _PNG_SIGNATURE_BYTES
    for _ in range(_MOST_PARTS):
        file.seek(position)
        head = file.read(8)
        name, end = head[4:], position + 12 + int.from_bytes(head[:4])
        if len(head) < 8 or end > size or (has_data and name != b"IDAT"):  # noqa: PLR2004
            # At its end, or cut: what is left of it is for the decoder to tell.
            rest = _PNG_END if has_data and end <= size and len(head) == 8 else Range(position, size)  # noqa: PLR2004
            return [*pieces, rest], exif
        has_data = name == b"IDAT"
        if name == b"IHDR":
            colour = file.read(10)[9:][0] if end - position >= _PNG_HEADER_BYTES else -1
        elif name == b"eXIf" and exif is None:
            exif = file.read(min(end - position - 12, _EXIF_BYTES))
        if name in _PNG_NEEDED or (name == b"tRNS" and _is_transparency(end - position - 12, colour)):
            pieces.append(Range(position, end))
        position = end
    return None


def _is_transparency(length: int, colour: int) -> bool:
    least, most = _TRANSPARENCY_BYTES.get(colour, (1, 0))
    return least <= length <= most


def _webp(file: IO[bytes], size: int) -> Found | None:
    """Keep the picture's own chunks, under a header that promises no others."""
    file.seek(0)
    head = file.read(_WEBP_HEADER_BYTES)
    pieces: list[Piece] = []
    exif: bytes | None = None
    flags, position = 0, _WEBP_HEADER_BYTES
    while position < size:
        if len(pieces) > _MOST_PARTS:
            return None
        file.seek(position)
        chunk = file.read(9)
        name, end = chunk[:4], position + 8 + int.from_bytes(chunk[4:8], "little")
        end += end & 1
        if name == b"VP8X":
            flags = chunk[8] if len(chunk) > 8 else 0  # noqa: PLR2004
            pieces += [chunk[:8], bytes([flags & ~_WEBP_SAID]), Range(position + 9, min(end, size))]
        elif name in _WEBP_PICTURE:
            pieces.append(Range(position, min(end, size)))
        elif name == b"EXIF" and exif is None and flags & _WEBP_EXIF:
            file.seek(position + 8)
            exif = file.read(min(end - position - 8, _EXIF_BYTES))
        position = end
    length = 4 + sum(len(piece) if isinstance(piece, bytes) else piece.end - piece.start for piece in pieces)
    return [head[:4], length.to_bytes(4, "little"), head[8:12], *pieces], exif
