"""What a file is, by how it begins: of the formats that are taken, and of those that are not, with what to do."""

from typing import Literal, NamedTuple

Kind = Literal["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]

CONTENT_TYPES: dict[Kind, str] = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
}
"""The formats that are taken, by Pillow's names."""

HEAD_BYTES = 512  # as far as anything below looks
_NOT_TAKEN = "it is not a JPEG, PNG, WebP, GIF, BMP or TIFF image"

_TAKEN: tuple[tuple[bytes, Kind], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}  # sizes of the second header, by the version of the format


class _Other(NamedTuple):
    start: int
    begins: bytes
    what: str
    do: str


_TO_JPEG, _TO_PNG, _TO_FRAMES = "convert it to JPEG", "convert it to PNG", "save its frames as JPEG or PNG"
_RAW, _JPEG_2000, _NETPBM = "a camera raw file", "a JPEG 2000 picture", "a Netpbm picture (PGM, PPM)"
_PSD, _EXR, _DICOM, _FITS = "a Photoshop file", "an OpenEXR picture", "a DICOM file", "a FITS picture"
_PDF, _VIDEO, _JXL, _XR = "a PDF document", "a video", "a JPEG XL picture", "a JPEG XR picture"
_DEVELOP = "develop it to JPEG or TIFF"

_OTHERS = (
    _Other(0, b"\0\0\0\x0cjP  \r\n\x87\n", _JPEG_2000, _TO_JPEG),
    _Other(0, b"\xff\x4f\xff\x51", _JPEG_2000, _TO_JPEG),
    _Other(0, b"\0\0\0\x0cJXL \r\n\x87\n", _JXL, _TO_JPEG),
    _Other(0, b"\xff\x0a", _JXL, _TO_JPEG),
    _Other(0, b"II\xbc\x01", _XR, _TO_JPEG),
    _Other(0, b"\xff\xd8\xff\xf7", "a JPEG-LS picture", _TO_PNG),
    _Other(0, b"FUJIFILMCCD-RAW", _RAW, _DEVELOP),
    _Other(0, b"IIRO", _RAW, _DEVELOP),
    _Other(0, b"IIRS", _RAW, _DEVELOP),
    _Other(0, b"MMOR", _RAW, _DEVELOP),
    _Other(0, b"IIU\0", _RAW, _DEVELOP),
    _Other(0, b"\0MRM", _RAW, _DEVELOP),
    _Other(0, b"FOVb", _RAW, _DEVELOP),
    _Other(6, b"HEAPCCDR", _RAW, _DEVELOP),
    _Other(8, b"CR\x02", _RAW, _DEVELOP),
    _Other(0, b"8BPS", _PSD, _TO_PNG),
    _Other(0, b"gimp xcf", "a GIMP file", "export it as PNG"),
    _Other(0, b"\x76\x2f\x31\x01", _EXR, _TO_PNG),
    _Other(0, b"#?RADIANCE", "a Radiance picture (HDR)", _TO_PNG),
    _Other(0, b"SIMPLE  =", _FITS, _TO_PNG),
    _Other(128, b"DICM", _DICOM, _TO_PNG),
    _Other(0, b"\0\0\1\0", "a Windows icon", _TO_PNG),
    _Other(0, b"\0\0\2\0", "a Windows cursor", _TO_PNG),
    _Other(0, b"\x0a\x05\x01\x08", "a PCX picture", _TO_PNG),
    _Other(0, b"qoif", "a QOI picture", _TO_PNG),
    _Other(0, b"DDS ", "a DDS texture", _TO_PNG),
    _Other(0, b"\x93NUMPY", "a NumPy array", "save it as PNG or TIFF"),
    _Other(0, b"\x89HDF\r\n\x1a\n", "an HDF5 file", "save its pictures as PNG or TIFF"),
    _Other(0, b"%PDF-", _PDF, "save its pages as PNG"),
    _Other(0, b"%!PS", "a PostScript drawing", "save it as PNG"),
    _Other(8, b"AVI ", _VIDEO, _TO_FRAMES),
    _Other(0, b"\x1a\x45\xdf\xa3", _VIDEO, _TO_FRAMES),
    *(_Other(0, b"P%d" % number + blank, _NETPBM, _TO_PNG) for number in range(1, 8) for blank in (b"\n", b" ", b"\r")),
)
# Of ISO's base media format: the brands that the file says it can be read as (ISO/IEC 14496-12, 4.3). Some say
# several: the plainer ones first.
_BRANDS = {
    b"avif": ("an AVIF picture", _TO_JPEG),
    b"avis": ("an AVIF picture", _TO_JPEG),
    b"crx ": (_RAW, _DEVELOP),
    b"jxl ": (_JXL, _TO_JPEG),
    **dict.fromkeys(
        (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"mif2"),
        ("a HEIC picture, as phones save it", _TO_JPEG),
    ),
}
_WEB = (
    (b"<svg", "an SVG drawing", "save it as PNG"),
    (b"<!doctype html", "a web page", "save the picture itself"),
    (b"<html", "a web page", "save the picture itself"),
)


def kind_of(head: bytes) -> Kind | None:
    """Tell which of the formats that are taken a file begins as."""
    if _other(head) is not None:
        return None
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    kind = next((kind for begins, kind in _TAKEN if head.startswith(begins)), None)
    if kind == "BMP" and int.from_bytes(head[14:18], "little") not in _BMP_HEADERS:
        return None
    return kind


def not_taken(head: bytes) -> str:
    """Say why a file of another format is refused, and what to make of it."""
    found = _other(head)
    return _NOT_TAKEN if found is None else but_is(*found)


def but_is(what: str, do: str) -> str:
    """Name what a file is instead."""
    return f"{_NOT_TAKEN} but {what}: {do}"


def camera_raw() -> str:
    """Refuse a raw file that looks like a TIFF, whose first picture is a small preview."""
    return but_is(_RAW, _DEVELOP)


def _other(head: bytes) -> tuple[str, str] | None:
    if head[4:8] == b"ftyp":
        size = min(int.from_bytes(head[:4]), len(head))
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, size - 3, 4))}
        return next((what for brand, what in _BRANDS.items() if brand in brands), (_VIDEO, _TO_FRAMES))
    for other in _OTHERS:
        if head.startswith(other.begins, other.start):
            return other.what, other.do
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<?xml", b"<!--", b"<!doctype svg")) and b"<svg" in text:
        return _WEB[0][1:]
    return next(((what, do) for begins, what, do in _WEB if text.startswith(begins)), None)
