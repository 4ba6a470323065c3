"""What a picture is, from its bytes alone: type, size as browsers draw it, hash, and a thumbnail. Blocking."""

import hashlib
import io
import warnings
from dataclasses import dataclass
from typing import IO

from PIL import Image

from labeler_api.images.paths import Refused

CONTENT_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
}
_THUMBNAIL_PIXELS = 256  # contract, section 8: longest side
_THUMBNAIL_QUALITY = 85  # contract, section 8
_REDUCING_GAP = 2.0  # decode JPEG at the smallest scale that is still twice the thumbnail: four times as fast
_EXIF_ORIENTATION = 0x0112
_SIDEWAYS = {5, 6, 7, 8}  # orientations that swap width and height
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# What Pillow finds odd enough to warn of (a decompression bomb, a file that ends early) is refused. Set once:
# the filters belong to the process, and changing them around each call would race between threads.
warnings.filterwarnings("error", module=r"PIL\..*")


@dataclass(frozen=True, slots=True)
class Picture:
    """An image that decodes. Width and height are pixels as displayed, after the EXIF orientation."""

    sha256: str
    content_type: str
    width: int
    height: int
    thumbnail: bytes


def read_picture(file: IO[bytes], max_pixels: int) -> Picture:
    """Identify, measure, hash and decode the image in `file`, from its beginning. Raises Refused with a reason."""
    file.seek(0)
    if not file.read(1):
        raise Refused("it is empty")
    file.seek(0)
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    file.seek(0)
    with _identified(file, max_pixels) as image:
        content_type = CONTENT_TYPES[image.format or ""]
        orientation = _orientation(image)
        width, height = image.size
        try:
            thumbnail = _thumbnail(image, orientation)
        except Exception as error:  # a hostile file may raise anything out of a decoder
            raise Refused(f"it is damaged: {_reason(error)}") from error
    if orientation in _SIDEWAYS:
        width, height = height, width
    return Picture(sha256, content_type, width, height, thumbnail)


def _identified(file: IO[bytes], max_pixels: int) -> Image.Image:
    """Read the header only: type and size are known before anything is decoded."""
    try:
        image = Image.open(file, formats=list(CONTENT_TYPES))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels(max_pixels) from None
    except Exception as error:
        raise Refused("it is not a JPEG, PNG, WebP, GIF, BMP or TIFF image") from error
    if image.width * image.height > max_pixels:
        image.close()
        raise _too_many_pixels(max_pixels)
    return image


def _too_many_pixels(max_pixels: int) -> Refused:
    return Refused(f"it has more than {max_pixels} pixels")


def _orientation(image: Image.Image) -> int:
    """The orientation that browsers follow: that of the EXIF block, not one that only XMP or a text chunk has."""
    block = image.info.get("exif")
    if not block or image.format == "TIFF":  # Pillow turns a TIFF itself
        return 1
    exif = Image.Exif()
    try:
        exif.load(block)
        value = exif.get(_EXIF_ORIENTATION, 1)
    except Exception:  # odd metadata does not make an image worthless; browsers draw it as it is
        return 1
    return value if value in _UPRIGHT else 1


def _thumbnail(image: Image.Image, orientation: int) -> bytes:
    if image.mode in {"1", "P", "PA"}:  # cannot be scaled smoothly as they are
        image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
    image.thumbnail((_THUMBNAIL_PIXELS, _THUMBNAIL_PIXELS), Image.Resampling.LANCZOS, reducing_gap=_REDUCING_GAP)
    small = _on_white(_eight_bits(image))
    if orientation in _UPRIGHT:
        small = small.transpose(_UPRIGHT[orientation])
    out = io.BytesIO()
    small.save(out, "JPEG", quality=_THUMBNAIL_QUALITY, optimize=True)
    return out.getvalue()


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16 bits of grey down; a plain conversion would clip nearly everything to white."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value / 256).convert("L")
    return image


def _on_white(image: Image.Image) -> Image.Image:
    """JPEG has no transparency: what is seen through becomes white."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())[:200]
    return text if isinstance(error, OSError | SyntaxError | Warning) and text else "it cannot be decoded"
