"""A large PNG is decoded in strips, and looks as if it had been decoded whole."""

import io
import random
import struct
import zlib

import pytest
from PIL import Image, ImageStat

from labeler_api.errors import FileRejected
from labeler_api.images.pictures import inspection, png_rows, shrinking
from labeler_api.images.pictures.inspection import Picture, read_picture
from labeler_api.workers.limited_process import Needs
from tests.fixtures.png import chunk

WIDTH, HEIGHT = 613, 1187
PLENTY = 1 << 40
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def png(colour: int, depth: int, *extra: bytes, interlaced: bool = False) -> bytes:
    """Noise, each row under a filter by chance, and the data in chunks of odd sizes."""
    chance = random.Random(f"{colour} {depth}")
    stride = -(-WIDTH * depth * CHANNELS[colour] // 8)
    raw = b"".join(bytes([chance.randrange(5)]) + chance.randbytes(stride) for _ in range(HEIGHT))
    data = zlib.compress(raw)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour, 0, 0, interlaced)
    pieces = b"".join(chunk(b"IDAT", data[at : at + 9973]) for at in range(0, len(data), 9973))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + pieces + chunk(b"IEND", b"")


def palette(entries: int) -> bytes:
    return chunk(b"PLTE", random.Random(entries).randbytes(3 * entries))


@pytest.fixture
def small_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shrinking, "STRIP_PIXELS", 7 * WIDTH)
    monkeypatch.setattr(inspection, "_IN_FULL_PIXELS", 0)


def looked_at(content: bytes) -> Picture:
    found = read_picture(io.BytesIO(content), PLENTY, WIDTH * HEIGHT)
    assert isinstance(found, Picture)
    return found


KINDS = [
    *((colour, depth, ()) for colour in (0, 2, 4, 6) for depth in (8, 16)),
    *((0, depth, ()) for depth in (1, 2, 4)),
    *((3, depth, (palette(2**depth),)) for depth in (1, 2, 4, 8)),
    (3, 8, (palette(200), chunk(b"tRNS", bytes(range(100))))),
    (0, 8, (chunk(b"tRNS", b"\0\7"),)),
    (2, 8, (chunk(b"tRNS", b"\0\7\0\7\0\7"),)),
]


@pytest.mark.parametrize(("colour", "depth", "extra"), KINDS)
def test_strips_hold_what_the_whole_holds(
    small_strips: None, colour: int, depth: int, extra: tuple[bytes, ...]
) -> None:
    content = png(colour, depth, *extra)
    file = io.BytesIO(content)
    opened = Image.open(io.BytesIO(content))
    rows = png_rows.layout(file)
    assert rows is not None
    together = Image.new("RGBA", (WIDTH, HEIGHT))
    top = 0
    for strip in png_rows.strips(file, opened, rows):
        assert strip.height <= 7
        together.paste(strip.convert("RGBA"), (0, top))
        top += strip.height
    whole = Image.open(io.BytesIO(content))
    whole.load()
    upper = whole.point(lambda value: value / 256).convert("L") if whole.mode == "I;16" else whole
    if whole.mode in {"L", "RGB"}:
        upper.info.pop("transparency", None)  # one colour that is seen through is seen to when all is small
    assert together.tobytes() == upper.convert("RGBA").tobytes()


@pytest.mark.parametrize(("colour", "depth", "extra"), KINDS)
def test_a_thumbnail_of_strips_looks_like_that_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, small_strips: None, colour: int, depth: int, extra: tuple[bytes, ...]
) -> None:
    content = png(colour, depth, *extra)
    in_strips = looked_at(content)
    monkeypatch.setattr(inspection, "_IN_FULL_PIXELS", PLENTY)
    whole = looked_at(content)
    assert in_strips.width == whole.width
    assert in_strips.height == whole.height
    assert in_strips.sha256 == whole.sha256
    pair = [Image.open(io.BytesIO(picture.thumbnail)).convert("RGB") for picture in (in_strips, whole)]
    assert pair[0].size == pair[1].size == (132, 256)
    # Noise, scaled down in two ways: some pixels differ much, all of them together do not.
    means = [ImageStat.Stat(image).mean for image in pair]
    assert max(abs(one - other) for one, other in zip(*means, strict=True)) < 3


@pytest.mark.parametrize("cut", [60, 20_000])
def test_a_large_png_that_is_cut_off_is_damaged(small_strips: None, cut: int) -> None:
    with pytest.raises(FileRejected, match="damaged"):
        looked_at(png(2, 8)[:-cut])


def test_one_that_is_garbled_is_damaged(small_strips: None) -> None:
    content = bytearray(png(0, 1))
    content[5000:5100] = bytes(100)
    with pytest.raises(FileRejected, match="damaged"):
        looked_at(bytes(content))


def test_an_interlaced_one_is_decoded_whole(small_strips: None) -> None:
    """Its rows do not come one after the other: it says what it needs."""
    needed = read_picture(io.BytesIO(png(2, 8, interlaced=True)), 0, WIDTH * HEIGHT)
    assert needed == Needs(WIDTH * HEIGHT * 4)


@pytest.mark.parametrize(("width", "height"), [(20_000, 17_500), (100_000, 3_500), (3_500, 100_000)])
def test_a_large_one_needs_little(width: int, height: int) -> None:
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100))
    needed = read_picture(io.BytesIO(content), 0, 350_000_000)
    assert isinstance(needed, Needs)
    assert needed.memory_bytes < 64 * 2**20
