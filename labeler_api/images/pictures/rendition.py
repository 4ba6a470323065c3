"""What browsers are shown of a picture whose format they do not draw: a JPEG of the same size. The original stays.

Call `render` through labeler_api.workers.decoders, as `inspection.inspect_picture`.
"""

import warnings
from pathlib import Path
from typing import IO

from PIL import Image

from labeler_api.images.pictures import tiff
from labeler_api.images.pictures.modes import brightness, eight_bits, on_white, pixel_bytes
from labeler_api.images.pictures.shrinking import cropped
from labeler_api.images.pictures.strip_metadata import strip_metadata
from labeler_api.workers.limited_process import Needs

CONTENT_TYPE = "image/jpeg"
NOT_DRAWN = frozenset({"image/tiff"})  # of the types that are taken; no browser but Safari shows it in an <img>

_QUALITY = 90  # no artefact that an outline could follow; a fifth of the original's bytes
_MOST_SIDE = 65_500  # of a JPEG (libjpeg's JPEG_MAX_DIMENSION)
_AS_THEY_ARE = frozenset({"L", "RGB"})  # modes that are written without a copy
_COPY_BYTES = 4  # of a pixel in colour, as Pillow holds it


def render(file: IO[bytes], memory_bytes: int, target: str) -> bool | Needs:
    """Write a TIFF as a JPEG into the file `target`, turned upright. False for one that cannot be shown so."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return _render(file, memory_bytes, target)
    except MemoryError:
        raise
    except Exception:  # whatever a decoder makes of it, or a full disk: the picture was taken, and stays so
        return False


def _render(file: IO[bytes], memory_bytes: int, target: str) -> bool | Needs:
    with Image.open(strip_metadata(file, "TIFF").file, formats=["TIFF"]) as image:
        if max(image.size) > _MOST_SIDE:
            return False
        copy = 0 if image.mode in _AS_THEY_ARE else image.width * image.height * _COPY_BYTES
        if (needed := tiff.decoded_bytes(image, pixel_bytes(image.mode)) + copy) > memory_bytes:
            return Needs(needed)
        image.load()
        shown = image if image.mode in _AS_THEY_ARE else _in_colour(image)
        # All of the colour is kept: outlines are drawn along edges of colour.
        with Path(target).open("r+b") as out:
            shown.save(out, "JPEG", quality=_QUALITY, subsampling=0, exif=b"")
    return True


def _in_colour(image: Image.Image) -> Image.Image:
    """Convert strip by strip: what is between the two modes is never the whole picture."""
    shown, top, drawn = Image.new("RGB", image.size), 0, brightness(image)
    for strip in cropped(image):
        shown.paste(on_white(eight_bits(strip, drawn)), (0, top))
        top += strip.height
    return shown
