"""Modes of pixels: what they take, and how they become what a JPEG can hold, eight bits and nothing to see through."""

from dataclasses import dataclass
from math import isfinite

from PIL import Image

# Decoded bytes of a pixel, as Pillow holds them (its page "Concepts", modes); every other mode has four.
_PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}
_WHITE = 255
_SAMPLE_SIDE = 512  # a quarter of a million values tell what a picture is in, in some 30 ms
_BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # tags of a TIFF and a value


@dataclass(frozen=True, slots=True)
class Brightness:
    """The numbers that are drawn black and white; black may be the larger one."""

    black: float
    white: float


def pixel_bytes(mode: str) -> int:
    """What a decoded pixel takes."""
    return _PIXEL_BYTES.get(mode, 4)


def is_deep(mode: str) -> bool:
    """Whether a pixel is a number of more than eight bits."""
    return mode.startswith(("I", "F"))


def brightness(image: Image.Image) -> Brightness | None:
    """Say how deep grey is drawn; None for a picture of eight bits. It has to be decoded.

    16 bits without a sign have a black and a white. What 32 bits, fractions and numbers below zero are in, nobody says:
    the darkest number of the picture is black, the brightest white.
    """
    if not is_deep(image.mode):
        return None
    tags = getattr(image, "tag_v2", {})
    if image.mode.startswith("I;16"):
        bits = tags.get(_BITS, 16)
        black, white = 0.0, float(2 ** (bits[0] if isinstance(bits, tuple) else bits) - 1)
    else:
        black, white = _extremes(image)
    return Brightness(white, black) if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else Brightness(black, white)


def _extremes(image: Image.Image) -> tuple[float, float]:
    size = (min(image.width, _SAMPLE_SIDE), min(image.height, _SAMPLE_SIDE))
    sample = image.resize(size, Image.Resampling.NEAREST)
    numbers = [value for value in sample.get_flattened_data() if isinstance(value, int | float) and isfinite(value)]
    if not numbers:
        return 0.0, 1.0
    low, high = min(numbers), max(numbers)
    return (float(low), float(high)) if low < high else (min(0.0, low), max(1.0, high))


def eight_bits(image: Image.Image, drawn: Brightness | None) -> Image.Image:
    """Scale deep grey down, as `brightness` says; a plain conversion would clip nearly everything to black or white."""
    if drawn is None or not is_deep(image.mode):
        return image
    if image.mode != "F":
        image = image.convert("I")
    scale = _WHITE / (drawn.white - drawn.black)
    return image.convert("F").point(lambda value: value * scale - drawn.black * scale).convert("L")


def on_white(image: Image.Image) -> Image.Image:
    """JPEG has no transparency: what is seen through becomes white."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white
