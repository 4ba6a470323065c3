"""Pixels as a JPEG can hold them: eight bits, and nothing to see through."""

from PIL import Image


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
