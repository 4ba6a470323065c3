"""What an image's bytes say about it: its size as displayed and its type."""

from typing import IO

import msgspec
from PIL import ExifTags, Image, UnidentifiedImageError

# The types that uploads accept, as Pillow names them; MPO is what some phones and cameras write as .jpg.
_CONTENT_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "WEBP": "image/webp",
    "TIFF": "image/tiff",
}
_FORMATS = [name for name in _CONTENT_TYPES if name != "MPO"]  # opened as a JPEG, it turns out to be one
_SIDEWAYS = {5, 6, 7, 8}  # EXIF orientations that swap width and height
_SMALL = (256, 256)  # JPEG may be decoded at an eighth of its size: enough to see that all of it is there


class UnreadableImage(Exception):
    """The bytes are no image, a damaged one, or one that is too large to decode."""


class ImageFacts(msgspec.Struct, frozen=True):
    """Width and height in pixels, after the EXIF orientation, and the content type."""

    width: int
    height: int
    content_type: str


def probe(file: IO[bytes], max_pixels: int) -> ImageFacts:
    """Decode an image once, to be sure that it is whole. Raises UnreadableImage with the reason."""
    try:
        with Image.open(file, formats=_FORMATS) as image:
            return _facts(image, max_pixels)
    except UnidentifiedImageError:
        raise UnreadableImage("is no JPEG, PNG, GIF, BMP, WebP or TIFF image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnreadableImage(f"has more than {max_pixels:,} pixels") from None
    # Pillow's decoders raise whatever the damage leads them to.
    except (OSError, ValueError, TypeError, SyntaxError, EOFError, IndexError, OverflowError, MemoryError) as error:
        raise UnreadableImage(f"cannot be decoded: {error}") from None


def _facts(image: Image.Image, max_pixels: int) -> ImageFacts:
    width, height = image.size
    if width * height > max_pixels:
        raise UnreadableImage(f"has {width * height:,} pixels, more than {max_pixels:,}")
    content_type = _CONTENT_TYPES[image.format or ""]
    image.draft(None, _SMALL)
    image.load()
    if image.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS:
        width, height = height, width
    return ImageFacts(width, height, content_type)
