"""What a WebP takes is known from its first bytes: its library makes room for the whole picture when it opens it."""

import io
import struct

import pytest

from labeler_api.errors import FileRejected
from labeler_api.images.pictures.inspection import Picture, read_picture
from labeler_api.workers.limited_process import Needs
from tests.fixtures.pictures import picture

SIDE = 12_000
BYTES_A_PIXEL = 16
MORE_THAN_ENOUGH = SIDE * SIDE


def riff(kind: bytes, body: bytes) -> bytes:
    chunk = kind + struct.pack("<L", len(body)) + body
    return b"RIFF" + struct.pack("<L", len(chunk) + 4) + b"WEBP" + chunk


HEADS = {
    "lossy": riff(b"VP8 ", b"\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", SIDE, SIDE) + bytes(40)),
    "lossless": riff(b"VP8L", b"\x2f" + struct.pack("<L", (SIDE - 1) | (SIDE - 1) << 14) + bytes(40)),
    "a canvas": riff(b"VP8X", bytes(4) + 2 * (SIDE - 1).to_bytes(3, "little") + bytes(40)),
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_a_large_one_is_told_before_it_is_opened(head: bytes) -> None:
    assert read_picture(io.BytesIO(head), 64 * 1024**2, MORE_THAN_ENOUGH) == Needs(SIDE * SIDE * BYTES_A_PIXEL)
    with pytest.raises(FileRejected, match="it has more than 143999999 pixels"):
        read_picture(io.BytesIO(head), 64 * 1024**2, SIDE * SIDE - 1)


def test_one_that_fits_is_decoded() -> None:
    for lossless in (False, True):
        content = picture(300, 200, "WEBP", lossless=lossless)
        assert read_picture(io.BytesIO(content), 0, MORE_THAN_ENOUGH) == Needs(300 * 200 * BYTES_A_PIXEL)
        found = read_picture(io.BytesIO(content), 300 * 200 * BYTES_A_PIXEL, MORE_THAN_ENOUGH)
        assert isinstance(found, Picture)
        assert found.width == 300
        assert found.height == 200
