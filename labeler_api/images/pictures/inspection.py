"""What a picture is, from its bytes alone: type, size as browsers draw it, hash, and a thumbnail.

Decoders are where hostile bytes do harm: call `inspect_picture` through labeler_api.workers.decoders, in a process that
can be killed, and which has one thread.
"""

import hashlib
import io
import warnings
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from labeler_api.errors import FileRejected
from labeler_api.images import thumbnail_format
from labeler_api.images.pictures import jpeg_scans, png_rows, tiff
from labeler_api.images.pictures.formats import CONTENT_TYPES, HEAD_BYTES, Kind, kind_of, not_taken
from labeler_api.images.pictures.modes import brightness, eight_bits, is_deep, on_white, pixel_bytes
from labeler_api.images.pictures.orientation import SIDEWAYS, UPRIGHT, orientation
from labeler_api.images.pictures.shrinking import cropped, shrunk, strips_bytes
from labeler_api.images.pictures.strip_metadata import strip_metadata
from labeler_api.workers.limited_process import Needs

_DIGESTED_BYTES = 256 * 1024  # read once for both digests, from the processor's cache
_REDUCING_GAP = 2.0  # decode JPEG at the smallest scale that is still twice the thumbnail: four times as fast

# Pillow's own door tries format after format, and keeps to itself why none of them fits.
_OPENERS: dict[Kind, Callable[[IO[bytes]], ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
}

# What a format's library holds in addition to Pillow's copy, in bytes a pixel; measured with pictures of 100
# megapixels.
_LIBRARY_BYTES = {"WEBP": 12}
_AT_ONCE_PIXELS = 16 * 1024 * 1024  # a larger one that cannot be scaled as it is, is converted in strips
# 128 MiB, which the least share holds (labeler_api.workers.decoders). Larger ones are decoded in strips, if the
# format allows it.
_IN_FULL_PIXELS = 32 * 1024 * 1024
_STRIPS_TO_PIXELS = int(thumbnail_format.SIDE_PIXELS * _REDUCING_GAP)  # for the longer side; from there on smoothly

# Its own bound is 89 million pixels; ours is a setting, is checked as early, and has limits of memory and time behind.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True, slots=True)
class Picture:
    """An image that decodes. Width and height are pixels as displayed, after the EXIF orientation."""

    sha256: str
    crc32: int
    content_type: str
    width: int
    height: int
    thumbnail: bytes
    orientation: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a file is not accepted as a picture."""

    reason: str


def inspect_picture(file: IO[bytes], memory_bytes: int, max_pixels: int) -> Picture | Rejected | Needs:
    """`read_picture` for labeler_api.workers.decoders: nothing is raised across processes but what nobody expects."""
    try:
        return read_picture(file, memory_bytes, max_pixels)
    except FileRejected as refusal:
        return Rejected(refusal.detail)
    except MemoryError:
        raise
    except Exception:  # a bad file never fails its batch, whatever a decoder makes of it
        return Rejected("it is damaged: it cannot be decoded")


def read_picture(file: IO[bytes], memory_bytes: int, max_pixels: int) -> Picture | Needs:
    """Identify, measure, hash and decode the image in `file`, from its beginning. Raises FileRejected with a reason.

    Returns Needs, before anything is decoded, when that takes more than `memory_bytes`.
    """
    with warnings.catch_warnings(action="ignore"):  # one thread: see the top
        # Pillow warns of what it passes over, and raises at what it cannot decode.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return _read(file, memory_bytes, max_pixels)


def _read(file: IO[bytes], memory_bytes: int, max_pixels: int) -> Picture | Needs:
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if not head:
        raise FileRejected("it is empty")
    kind = kind_of(head)
    if kind is None:
        raise FileRejected(not_taken(head))
    file.seek(0)
    if (needed := _webp_bytes(file, max_pixels)) > memory_bytes:
        return Needs(needed)
    found = strip_metadata(file, kind)
    turned = orientation(found.exif)
    with _identified(found.file, kind, max_pixels) as image:
        rows = _rows(image, file)
        needed = strips_bytes(image.size, rows.row_bytes, _STRIPS_TO_PIXELS) if rows else _needed_bytes(image, file)
        if needed > memory_bytes:
            return Needs(needed)
        width, height = image.size
        try:
            thumbnail = _thumbnail(_shrunk(png_rows.strips(file, image, rows), image) if rows else image, turned)
        except MemoryError:
            raise
        except Exception as error:  # a hostile file may raise anything out of a decoder
            raise FileRejected(f"it is damaged: {_reason(error)}") from error
    if turned in SIDEWAYS:
        width, height = height, width
    sha256, crc32 = _digests(file)
    return Picture(sha256, crc32, CONTENT_TYPES[kind], width, height, thumbnail, turned)


def _digests(file: IO[bytes]) -> tuple[str, int]:
    file.seek(0)
    digest, crc32 = hashlib.sha256(), 0
    while chunk := file.read(_DIGESTED_BYTES):
        digest.update(chunk)
        crc32 = zlib.crc32(chunk, crc32)
    return digest.hexdigest(), crc32


def _webp_bytes(file: IO[bytes], max_pixels: int) -> int:
    """What a WebP takes: its library makes room for the whole picture when it opens it. 0 for anything else.

    The header is RFC 9649's, section 2: the first chunk is lossy, lossless, or tells the size of the canvas.
    """
    head = file.read(30)
    file.seek(0)
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return 0
    if head[12:16] == b"VP8X":
        width, height = int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    elif head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    if width * height > max_pixels:
        raise FileRejected(f"it has more than {max_pixels} pixels")
    return width * height * (4 + _LIBRARY_BYTES["WEBP"])


def _needed_bytes(image: Image.Image, file: IO[bytes]) -> int:
    """What decoding takes, from the header alone. Raises FileRejected for a JPEG of too many scans."""
    pixels = image.width * image.height
    per_pixel = pixel_bytes(image.mode)
    if image.format == "TIFF":
        return tiff.decoded_bytes(image, per_pixel)
    if image.format != "JPEG":
        return pixels * (per_pixel + _LIBRARY_BYTES.get(image.format or "", 0))
    position = file.tell()
    scans = jpeg_scans.scans(file)
    file.seek(position)
    if scans.count > jpeg_scans.MAX_SCANS:
        raise FileRejected(
            f"it is a JPEG of more than {jpeg_scans.MAX_SCANS} scans, where encoders write about 10: save it again"
        )
    scale = next(
        (scale for scale in (8, 4, 2) if max(image.size) >= scale * _REDUCING_GAP * thumbnail_format.SIDE_PIXELS), 1
    )
    return pixels // scale**2 * per_pixel + scans.whole_picture_bytes


def _rows(image: Image.Image, file: IO[bytes]) -> png_rows.Layout | None:
    """How the rows lie in a large picture that can be decoded in strips."""
    if image.format != "PNG" or image.width * image.height <= _IN_FULL_PIXELS:
        return None
    return png_rows.layout(file)


def _identified(file: IO[bytes], kind: Kind, max_pixels: int) -> Image.Image:
    """Read the header only: the size is known before anything is decoded."""
    try:
        image = _OPENERS[kind](file)
    except MemoryError:
        raise
    except Exception as error:
        raise FileRejected(
            f"it begins as a {kind} image and cannot be decoded ({_reason(error)}): save it again as PNG or JPEG"
        ) from error
    if image.width * image.height > max_pixels:
        image.close()
        raise FileRejected(f"it has more than {max_pixels} pixels")
    return image


def _thumbnail(image: Image.Image, turned: int) -> bytes:
    image = _shrunk_from(image) if _is_for_strips(image) else _smooth(image)
    image.thumbnail(
        (thumbnail_format.SIDE_PIXELS, thumbnail_format.SIDE_PIXELS),
        Image.Resampling.LANCZOS,
        reducing_gap=_REDUCING_GAP,
    )
    small = on_white(image)
    if turned in UPRIGHT:
        small = small.transpose(UPRIGHT[turned])
    out = io.BytesIO()
    small.save(out, "JPEG", quality=thumbnail_format.JPEG_QUALITY, optimize=True)
    return out.getvalue()


def _shrunk_from(image: Image.Image) -> Image.Image:
    image.load()
    drawn = brightness(image)
    return _shrunk((eight_bits(strip, drawn) for strip in cropped(image)), image)


def _smooth(image: Image.Image) -> Image.Image:
    """Bring palettes and single bits, which cannot be scaled smoothly as they are, into a mode that can."""
    if image.mode in {"1", "P", "PA"}:
        return image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
    return image


def _is_for_strips(image: Image.Image) -> bool:
    """Modes that Pillow does not scale as they are (more than 8 bits), or copies before it does."""
    if is_deep(image.mode):
        return True
    return image.mode not in {"L", "RGB", "CMYK", "YCbCr"} and image.width * image.height > _AT_ONCE_PIXELS


def _shrunk(strips: Iterable[Image.Image], image: Image.Image) -> Image.Image:
    """Scale down strip by strip: what is converted is never the whole picture."""
    small = shrunk((_smooth(strip) for strip in strips), image.size, _STRIPS_TO_PIXELS)
    # A number of 16 bits that is seen through means none of 8.
    if small.mode in {"L", "RGB"} and "transparency" in image.info and not is_deep(image.mode):
        small.info["transparency"] = image.info["transparency"]
    return small


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())[:200]
    return text if isinstance(error, OSError | SyntaxError | Warning) and text else "it cannot be decoded"
