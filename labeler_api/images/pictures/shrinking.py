"""Scaling a large picture down, a strip of its rows at a time: no more of it is held than the strip and the result."""

from collections.abc import Iterable, Iterator

from PIL import Image

STRIP_PIXELS = 512 * 1024  # 2 MiB as Pillow holds them; larger strips are no faster
# A strip packed, as raw bytes, as an image, converted and cropped: what is alive of it at the same time.
_COPIES = 8


def rows_of_a_strip(width: int) -> int:
    """How many rows of a picture are looked at together, at least one."""
    return max(1, STRIP_PIXELS // width)


def cropped(image: Image.Image) -> Iterator[Image.Image]:
    """Yield the strips of a picture that is decoded already."""
    rows = rows_of_a_strip(image.width)
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))


def shrunk(strips: Iterable[Image.Image], size: tuple[int, int], longest: int) -> Image.Image:
    """Put the strips together, scaled down by a whole number: the longer side stays at least `longest` where it was."""
    factor = max(1, max(size) // longest)
    narrow: Image.Image | None = None
    top = 0
    for strip in strips:
        reduced = strip.reduce((factor, 1))
        if narrow is None:
            narrow = Image.new(reduced.mode, (reduced.width, size[1]))
        narrow.paste(reduced, (0, top))
        top += strip.height
    assert narrow is not None  # noqa: S101 - a picture has a row
    return narrow.reduce((1, factor))


def strips_bytes(size: tuple[int, int], row_bytes: int, longest: int) -> int:
    """What `shrunk` and the strips need, where a row that is decoded has `row_bytes`."""
    width, height = size
    factor = max(1, max(size) // longest)
    return (
        _COPIES * max(rows_of_a_strip(width) * max(row_bytes, 4 * width), 64 * 1024)
        + 4 * (-(-width // factor)) * height
    )
