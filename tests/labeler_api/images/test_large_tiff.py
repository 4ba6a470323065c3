"""What a TIFF takes of memory is told from its tags, and is neither twice as much nor too little."""

import io
from typing import Any

import pytest
from PIL import Image

from labeler_api.images.pictures.inspection import inspect_picture
from labeler_api.images.pictures.rendition import render
from labeler_api.workers.limited_process import Needs
from tests.fixtures.pictures import ORIENTATION

WIDTH, HEIGHT = 300, 200
PIXELS = WIDTH * HEIGHT


def tiff(mode: str, orientation: int = 1, **options: Any) -> io.BytesIO:
    out, exif = io.BytesIO(), Image.Exif()
    exif[ORIENTATION] = orientation
    Image.new(mode, (WIDTH, HEIGHT)).save(out, "TIFF", exif=exif, **options)
    return out


@pytest.mark.parametrize(
    ("mode", "options", "told", "shown"),
    [
        ("RGB", {}, 4 * PIXELS, 4 * PIXELS),
        ("RGB", {"compression": "tiff_lzw", "tiffinfo": {278: 10}}, 4 * PIXELS + 10 * 4 * WIDTH, None),
        ("RGB", {"compression": "tiff_lzw", "tiffinfo": {278: 4000}}, 8 * PIXELS, 8 * PIXELS),
        ("RGB", {"orientation": 6}, 8 * PIXELS, 8 * PIXELS),
        ("L", {}, PIXELS, PIXELS),
        ("RGBA", {}, 4 * PIXELS, 8 * PIXELS),
        ("I;16", {}, 2 * PIXELS, 6 * PIXELS),
    ],
)
def test_what_it_takes_is_told(mode: str, options: dict[str, Any], told: int, shown: int | None) -> None:
    content = tiff(mode, **options)
    assert inspect_picture(content, 0, PIXELS) == Needs(told)
    assert render(content, 0, "/nowhere") == Needs(shown or told)
