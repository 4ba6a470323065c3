"""Pictures as cameras, scanners and editors write them, some of them odd. All made here; each is what its name says."""

import io
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PIL import Image

SHORT, LONG, RATIONAL, TEXT = 3, 4, 5, 2
BEYOND = 0x00FFFFF0
WIDTH, HEIGHT = 320, 240


def painted(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Dark at the left, bright at the right; red above, blue below."""
    ramp = Image.linear_gradient("L").transpose(Image.Transpose.ROTATE_90).resize((width, height))
    return Image.merge("RGB", (ramp, ramp.point([0] * 256), Image.linear_gradient("L").resize((width, height))))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


# EXIF


def entry(tag: int, kind: int, count: int, value: int, order: str = "<") -> bytes:
    """An entry of a directory; the value of a SHORT stands in the first two of its four bytes."""
    if kind == SHORT and count == 1:
        return struct.pack(order + "HHLHH", tag, kind, count, value, 0)
    return struct.pack(order + "HHLL", tag, kind, count, value)


def exif(*entries: bytes, order: str = "<", count: int | None = None) -> bytes:
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", 8)
    number = struct.pack(order + "H", len(entries) if count is None else count)
    return header + number + b"".join(entries) + bytes(4)


def turned(order: str = "<", value: int = 6) -> bytes:
    return entry(0x0112, SHORT, 1, value, order)


EXIF: Mapping[str, tuple[bytes, bool]] = {
    "good": (exif(turned()), True),
    "good, big-endian": (exif(turned(">"), order=">"), True),
    "nothing": (b"", False),
    "a header alone": (exif()[:8], False),
    "half a header": (exif()[:5], False),
    "no byte order": (b"XX" + exif(turned())[2:], False),
    "a directory beyond the end": (b"II*\0" + struct.pack("<L", BEYOND), False),
    "cut in the orientation": (exif(entry(0x10F, TEXT, 4, 0), turned())[:-10], False),
    "cut behind the orientation": (exif(turned(), entry(0x131, TEXT, 9, 40))[:-10], True),
    "more entries announced than there are": (exif(turned(), count=900), True),
    "a text behind the end, after": (exif(turned(), entry(0x131, TEXT, 99, BEYOND)), True),
    "a text behind the end, before": (exif(entry(0x10F, TEXT, 99, BEYOND), turned()), True),
    "a short text behind the end, before": (exif(entry(0x10F, TEXT, 8, BEYOND), turned()), True),
    "a text of 4 GB, before": (exif(entry(0x10E, TEXT, 0xFFFFFFFF, 26), turned()), True),
    "an unknown type, before": (exif(entry(0x10F, 77, 1, 1), turned()), True),
    "a directory of the camera's beyond the end": (exif(turned(), entry(0x8769, LONG, 1, BEYOND)), True),
    "a resolution of nothing over nothing": (exif(turned(), entry(0x11A, RATIONAL, 1, 26)) + bytes(8), True),
    "an orientation that does not exist": (exif(turned(value=9)), False),
    "an orientation of zero": (exif(turned(value=0)), False),
    "an orientation as a text": (exif(entry(0x0112, TEXT, 2, 0x36)), False),
    "noise": (bytes(range(256)), False),
}


def with_segments(*segments: tuple[int, bytes], kind: str = "JPEG", **options: Any) -> bytes:
    """A JPEG with segments behind its first one, JFIF."""
    content = saved(painted(), kind, quality=90, **options)
    end = 4 + int.from_bytes(content[4:6])
    return content[:end] + b"".join(segment(marker, data) for marker, data in segments) + content[end:]


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(data) + 2).to_bytes(2) + data


def jpeg_with_exif(block: bytes) -> bytes:
    return with_segments((0xE1, b"Exif\0\0" + block))


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_with(*chunks: bytes, behind: bytes = b"", **options: Any) -> bytes:
    """A PNG with chunks behind its header, and others behind its data."""
    content = saved(options.pop("image", painted()), "PNG", **options)
    return content[:33] + b"".join(chunks) + content[33:-12] + behind + content[-12:]


def png_with_exif(block: bytes) -> bytes:
    return png_with(chunk(b"eXIf", block))


def webp_with(*chunks: tuple[bytes, bytes], flags: int = 0x08, cut: int = 0) -> bytes:
    """A WebP of the extended form. `cut`: so many bytes are missing at its end."""
    simple = saved(painted(), "WEBP", quality=80)[12:]
    size = (WIDTH - 1).to_bytes(3, "little") + (HEIGHT - 1).to_bytes(3, "little")
    body = _riff(b"VP8X", bytes([flags, 0, 0, 0]) + size) + simple + b"".join(_riff(*one) for one in chunks)
    content = b"RIFF" + struct.pack("<L", len(body) + 4) + b"WEBP" + body
    return content[: len(content) - cut]


def _riff(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<L", len(data)) + data + bytes(len(data) & 1)


def webp_with_exif(block: bytes) -> bytes:
    return webp_with((b"EXIF", block))


# MPO


def mpo() -> bytes:
    return saved(painted(), "MPO", save_all=True, append_images=[painted(64, 48)], quality=90)


MPO = {
    "whole": mpo(),
    "its second picture is missing": mpo()[: mpo().index(b"\xff\xd9") + 2],
    "its second picture is cut": mpo()[:-300],
    "its index is cut": with_segments((0xE2, b"MPF\0II*\0" + struct.pack("<L", 8) + b"\x03\0")),
    "its index is noise": with_segments((0xE2, b"MPF\0" + bytes(range(200)))),
    "its index leads beyond the end": with_segments((0xE2, b"MPF\0II*\0" + struct.pack("<L", BEYOND))),
    "it announces no pictures": with_segments((0xE2, b"MPF\0" + exif(entry(0xB001, LONG, 1, 0)))),
    "it announces a million pictures": with_segments((0xE2, b"MPF\0" + exif(entry(0xB001, LONG, 1, 10**6)))),
}

# What programs say beside the picture, and say wrong

JPEGS = {
    "Photoshop's resources, cut": with_segments((0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\x7f\xff")),
    "a colour profile whose second half is missing": with_segments((0xE2, b"ICC_PROFILE\0\x01\x02" + bytes(64))),
    "a colour profile of nothing": with_segments((0xE2, b"ICC_PROFILE\0")),
    "FlashPix": with_segments((0xE2, b"FPXR\0" + bytes(3))),
    "XMP that is no XML": with_segments((0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta \xff\xfe")),
    "EXIF twice": with_segments((0xE1, b"Exif\0\0" + exif()), (0xE1, b"Exif\0\0" + bytes(9))),
    "a comment of 64 KB": with_segments((0xFE, b"x" * 65_533)),
    "bytes between two segments": with_segments((0xE5, b"x")).replace(segment(0xE5, b"x"), b"\0\0garbage"),
    "a JFIF header that is cut": saved(painted(), "JPEG").replace(
        b"\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0", b"\xff\xe0\0\x07JFIF\0"
    ),
    "Adobe's header that is cut": with_segments((0xEE, b"Adobe")),
}

_FRAME = struct.pack(">IIIIIHHBB", 0, 64, 48, 0, 0, 1, 10, 0, 0)
PNGS = {
    "an animation of no frames": png_with(chunk(b"acTL", struct.pack(">II", 0, 0))),
    "an animation that is cut": png_with(chunk(b"acTL", b"\0\0")),
    "an animation whose frames are missing": png_with(chunk(b"acTL", struct.pack(">II", 9, 0))),
    "frames in the wrong order": png_with(
        chunk(b"acTL", struct.pack(">II", 2, 0)), chunk(b"fcTL", struct.pack(">I", 7) + _FRAME[4:])
    ),
    "frames larger than the picture": png_with(
        chunk(b"acTL", struct.pack(">II", 1, 0)),
        chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 9999, 9999, 0, 0, 1, 10, 0, 0)),
    ),
    "a frame that is noise": png_with(
        chunk(b"acTL", struct.pack(">II", 2, 0)), chunk(b"fcTL", _FRAME), behind=chunk(b"fdAT", b"\0\0\0\1noise")
    ),
    "a gamma that is cut": png_with(chunk(b"gAMA", b"\0")),
    "colours of white that are cut": png_with(chunk(b"cHRM", bytes(31))),
    "a colour profile that is noise": png_with(chunk(b"iCCP", b"x\0\0noise")),
    "a colour profile without a name": png_with(chunk(b"iCCP", b"")),
    "a resolution that is cut": png_with(chunk(b"pHYs", b"\0\0")),
    "an intent that is missing": png_with(chunk(b"sRGB", b"")),
    "a text that is no text": png_with(chunk(b"iTXt", b"\xff\xfe"), chunk(b"zTXt", b"x\0\0noise")),
    "a text of 70 MB, packed": png_with(chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(70_000_000), 1))),
    "a text with a wrong sum": png_with(chunk(b"tEXt", b"a\0b")[:-1] + b"\0"),
    "transparency that is cut": png_with(chunk(b"tRNS", b"\0")),
    "texts behind its data": png_with(behind=chunk(b"tEXt", b"")[:-1] + b"\0" + chunk(b"eXIf", b"II")),
    "its end is missing": saved(painted(), "PNG")[:-12],
}
WEBPS = {
    "a colour profile that is missing": webp_with(flags=0x20),
    "metadata that is missing": webp_with(flags=0x2C),
    "EXIF that is cut off": webp_with((b"EXIF", exif(turned()) + bytes(200)), cut=150),
    "XMP that is cut off": webp_with((b"XMP ", b"x" * 300), flags=0x04, cut=150),
    "chunks that nobody knows": webp_with((b"ABCD", b"1234"), (b"EFGH", b"")),
}


# TIFF


def tiff(
    *extra: tuple[int, int, int, int],
    order: str = "<",
    following: int = 0,
    pixels: bytes | None = None,
    size: tuple[int, int] = (64, 48),
    needed: Sequence[tuple[int, int, int, int]] = (),
    bits: int = 8,
) -> bytes:
    """A grey TIFF by hand: tags as (tag, type, count, value), in one strip behind its directory."""
    width, height = size
    data = bytes(range(64)) * 48 if pixels is None else pixels
    tags = {
        256: (SHORT, 1, width),
        257: (SHORT, 1, height),
        258: (SHORT, 1, bits),
        259: (SHORT, 1, 1),
        262: (SHORT, 1, 1),
        277: (SHORT, 1, 1),
        278: (SHORT, 1, height),
        279: (LONG, 1, len(data)),
    }
    tags |= {tag: rest for tag, *rest in (*needed, *extra)}  # type: ignore[misc]
    directory_bytes = 2 + 12 * (len(tags) + 1) + 4
    tags[273] = (LONG, 1, 8 + directory_bytes)
    entries = b"".join(entry(tag, *tags[tag], order) for tag in sorted(tags))
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", 8)
    return header + struct.pack(order + "H", len(tags)) + entries + struct.pack(order + "L", following) + data


_XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
TIFFS = {
    f"{what}, {name}": tiff(tag, order=order, following=following)
    for order, name in (("<", "little-endian"), (">", "big-endian"))
    for what, tag, following in (
        ("a description beyond the end", (270, TEXT, 99, BEYOND), 0),
        ("a maker beyond the end", (271, TEXT, 99, BEYOND), 0),
        ("a program beyond the end", (305, TEXT, 99, BEYOND), 0),
        ("a colour profile beyond the end", (34675, 7, 999, BEYOND), 0),
        ("a description of 4 GB", (270, TEXT, 0xFFFFFFFF, 8), 0),
        ("a resolution as two numbers", (282, RATIONAL, 2, 8), 0),
        ("an orientation as two numbers", (0x0112, SHORT, 2, 0x00010001), 0),
        ("a resolution over nothing", (282, RATIONAL, 1, 0), 0),
        ("a page number as one number", (297, SHORT, 1, 1), 0),
        ("a date as a number", (306, LONG, 1, 7), 0),
        ("EXIF beyond the end", (34665, LONG, 1, BEYOND), 0),
        ("EXIF in the middle of nowhere", (34665, LONG, 1, 3), 0),
        ("positions beyond the end", (34853, LONG, 1, BEYOND), 0),
        ("tags that nobody knows", (60_000, 99, 5, 5), 0),
        ("its next picture beyond the end", (305, TEXT, 2, 0), BEYOND),
        ("itself as its next picture", (305, TEXT, 2, 0), 8),
    )
}

XMP_ONLY = {
    "JPEG": with_segments((0xE1, b"http://ns.adobe.com/xap/1.0/\0" + _XMP)),
    "PNG": png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + _XMP)),
    "WEBP": webp_with((b"XMP ", _XMP), flags=0x04),
    "TIFF": saved(painted(), "TIFF", tiffinfo={700: _XMP}),
    "TIFF, packed": saved(painted(), "TIFF", compression="tiff_lzw", tiffinfo={700: _XMP}),
    "PNG, as a profile": png_with(
        chunk(b"tEXt", b"Raw profile type exif\0\nexif\n%8d\n" % len(exif(turned())) + exif(turned()).hex().encode())
    ),
}


# Deep grey


def ramp(form: str, black: float, white: float, width: int = WIDTH, height: int = 48) -> bytes:
    """Rows of numbers that rise evenly from the left to the right."""
    numbers = [black + (white - black) * x / (width - 1) for x in range(width)]
    whole = form[-1] not in "fd"
    return struct.pack(form[0] + form[1] * width, *(round(n) if whole else n for n in numbers)) * height


def deep_tiff(form: str, black: float, white: float, *extra: tuple[int, int, int, int], **size: int) -> bytes:
    """A TIFF of numbers of 16 or 32 bits: whole, with a sign, or fractions."""
    pixels = ramp(form, black, white, **size)
    sample = {"H": 1, "I": 1, "h": 2, "i": 2, "f": 3}[form[1]]
    bits = {"H": 16, "h": 16}.get(form[1], 32)
    dimensions = (size.get("width", WIDTH), size.get("height", 48))
    return tiff(*extra, (339, SHORT, 1, sample), order=form[0], pixels=pixels, size=dimensions, bits=bits)


def deep(mode: str, kind: str, width: int = WIDTH, height: int = 48, **options: Any) -> bytes:
    form = {"I;16": "<H", "I;16B": ">H"}[mode]
    image = Image.frombytes(mode, (width, height), ramp(form, 0, 65535, width, height))
    return saved(image, kind, **options)


RISING: Mapping[str, Callable[[], bytes]] = {
    "TIFF, 16 bits, little-endian": lambda: deep_tiff("<H", 0, 65535),
    "TIFF, 16 bits, big-endian": lambda: deep_tiff(">H", 0, 65535),
    "TIFF, 16 bits, LZW": lambda: deep("I;16", "TIFF", compression="tiff_lzw"),
    "TIFF, 16 bits, big-endian, deflate": lambda: deep("I;16B", "TIFF", compression="tiff_adobe_deflate"),
    "TIFF, 16 bits, white is zero": lambda: deep_tiff("<H", 65535, 0, (262, SHORT, 1, 0)),
    "TIFF, 16 bits, large": lambda: deep_tiff("<H", 0, 65535, width=2000, height=1200),
    "TIFF, 16 bits, big-endian, large": lambda: deep_tiff(">H", 0, 65535, width=2000, height=1200),
    "TIFF, 16 bits with a sign": lambda: deep_tiff("<h", -3000, 3000),
    "TIFF, 16 bits with a sign, big-endian": lambda: deep_tiff(">h", -3000, 3000),
    "TIFF, 32 bits": lambda: deep_tiff("<I", 0, 2_000_000_000),
    "TIFF, 32 bits with a sign": lambda: deep_tiff("<i", -70_000, 70_000),
    "TIFF, 32 bits with a sign, big-endian": lambda: deep_tiff(">i", -70_000, 70_000),
    "TIFF, fractions to 1": lambda: deep_tiff("<f", 0, 1),
    "TIFF, fractions to 1, big-endian": lambda: deep_tiff(">f", 0, 1),
    "TIFF, fractions to 65535, large": lambda: deep_tiff("<f", 0, 65535, width=2000, height=1200),
    "TIFF, fractions below zero": lambda: deep_tiff("<f", -5, -4),
    "TIFF, fractions, LZW": lambda: saved(
        Image.frombytes("F", (WIDTH, 48), ramp("<f", 0, 1)), "TIFF", compression="tiff_lzw"
    ),
    "PNG, 16 bits": lambda: deep("I;16", "PNG"),
    "PNG, 16 bits, large": lambda: deep("I;16", "PNG", 2000, 1200),
    "PNG, 16 bits, very large": lambda: deep("I;16", "PNG", 8000, 4400),
    "PNG, 16 bits, one number is seen through": lambda: png_with(
        chunk(b"tRNS", b"\xff\xff"), image=Image.frombytes("I;16", (WIDTH, 48), ramp("<H", 0, 65535))
    ),
}
