"""Modes of pixels: what they take, and how they become what a JPEG can hold, eight bits and nothing to see through."""

from PIL import Image

# Decoded bytes of a pixel, as Pillow holds them (its page "Concepts", modes); every other mode has four.
_PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}


def pixel_bytes(mode: str) -> int:
    """What a decoded pixel takes."""
    return _PIXEL_BYTES.get(mode, 4)


def eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16 bits of grey down; a plain conversion would clip nearly everything to white."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value / 256).convert("L")
    return image


def on_white(image: Image.Image) -> Image.Image:
    """JPEG has no transparency: what is seen through becomes white."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white
