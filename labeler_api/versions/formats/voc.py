"""Pascal VOC (http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc): a zip of XML files, one an image.

- `Annotations/<path of the image without its extension>.xml`: `folder` and `filename` of the image, its `size` (0 where
  nobody knows it), and an `object` for each region: `name`, `pose`, `truncated`, `difficult` (from the attributes of
  these names, where they are there), `bndbox`. An image that is marked as showing nothing has no `object`. For `a.jpg`
  and `a.png` in one folder the second is `a.png.xml`.
- `ImageSets/Main/train.txt`: those paths, one a line.
- `classes.txt`: the names of the task's classes, one a line, a line break within a name made a space.

Pixels are counted from 1 and the last one is inside, as in the VOC devkit: a box `[x, y, w, h]` has `xmin` x + 1 and
`xmax` x + w; it is a pixel wide at least. Numbers have decimals where the annotation has them; what lies beyond the
image's border stays.

A polygon is written as the box around it, with its points next to the box (`polygon`: `x1`, `y1`, `x2` …, counted from
1, too). Later tools write this, and others ignore it. What is not carried: the angle of a rotated box, which
is the upright box around it; the difference of two classes of one name, since VOC knows classes by name; characters
that XML cannot hold, which become U+FFFD; other attributes, and authors.
"""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from xml.sax.saxutils import escape

import msgspec

from labeler_api.versions.formats import shapes
from labeler_api.versions.formats.archive import Archive, safe_path
from labeler_api.versions.formats.source import Annotation, Header, Image, VersionSource
from labeler_api.versions.formats.texts import class_lines, one_line

TASKS = frozenset({"detection", "segmentation"})

_FOLDER = "Annotations/"
_CHANNELS = 3
_FIRST_PIXEL = 1
_DIGITS = 10
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, production 2
_END = b"</annotation>\n"


class _Flags(msgspec.Struct):
    """Attributes that VOC has a place for; any value, since attributes are anybody's."""

    truncated: Any = False
    difficult: Any = False


_flags = msgspec.json.Decoder(_Flags)


async def render(source: VersionSource) -> AsyncGenerator[bytes, None]:
    """Yield the file, piece by piece."""
    with Archive() as archive:
        async for piece in fill(archive, source):
            yield piece
        for piece in archive.finish():
            yield piece


async def fill(archive: Archive, source: VersionSource) -> AsyncGenerator[bytes, None]:
    """Add the members; yield what comes out meanwhile."""
    header, image_id, listing = source.header, None, bytearray()
    archive.add("classes.txt", class_lines(header.classes))
    async with aclosing(source.annotations()) as annotations:
        async for annotation in annotations:
            if annotation.image_id != image_id:
                if image_id is not None:
                    archive.write(_END)
                image_id = annotation.image_id
                path = archive.begin_for(f"{_FOLDER}{safe_path(annotation.image.file_name)}", ".xml")
                listing += f"{one_line(path.removeprefix(_FOLDER))}\n".encode()
                archive.write(_opening(annotation.image, header))
            archive.write(_object(annotation, header))
            if piece := archive.take():
                yield piece
    if image_id is not None:
        archive.write(_END)
    archive.add("ImageSets/Main/train.txt", bytes(listing))


def label_of(image_path: str) -> str:
    """Return the path of an image's XML file, without its extension: what readers tell images apart by."""
    folder, slash, name = image_path.rpartition("/")
    return folder + slash + (name.rpartition(".")[0] or name)


def _opening(image: Image, header: Header) -> bytes:
    folder, _, name = image.file_name.rpartition("/")
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<annotation>\n"
        f"  <folder>{_text(folder)}</folder>\n"
        f"  <filename>{_text(name)}</filename>\n"
        f"  <source><database>{_text(header.dataset_name)}</database></source>\n"
        f"  <size><width>{image.width}</width><height>{image.height}</height><depth>{_CHANNELS}</depth></size>\n"
        "  <segmented>0</segmented>\n"
    ).encode()


def _object(annotation: Annotation, header: Header) -> bytes:
    box = shapes.upright_box_of(annotation.annotation_type, annotation.geometry)
    if box is None:
        return b""
    flags = _flags.decode(annotation.attributes)
    return (
        "  <object>\n"
        f"    <name>{_text(header.classes.name(annotation.class_id))}</name>\n"
        "    <pose>Unspecified</pose>\n"
        f"    <truncated>{_flag(flags.truncated)}</truncated>\n"
        f"    <difficult>{_flag(flags.difficult)}</difficult>\n"
        f"    {_box(box)}\n"
        f"{_polygon(annotation)}"
        "  </object>\n"
    ).encode()


def _box(box: shapes.Box) -> str:
    left, top, width, height = box
    corners = {
        "xmin": left + _FIRST_PIXEL,
        "ymin": top + _FIRST_PIXEL,
        "xmax": left + max(width, _FIRST_PIXEL),  # narrower, and readers would find the corners swapped
        "ymax": top + max(height, _FIRST_PIXEL),
    }
    elements = [f"<{name}>{_number(value)}</{name}>" for name, value in corners.items()]
    return f"<bndbox>{''.join(elements)}</bndbox>"


def _polygon(annotation: Annotation) -> str:
    ring = shapes.ring_of(annotation.geometry) if annotation.annotation_type == "polygon" else None
    if ring is None:
        return ""
    points = [
        f"<x{number}>{_number(x + _FIRST_PIXEL)}</x{number}><y{number}>{_number(y + _FIRST_PIXEL)}</y{number}>"
        for number, (x, y) in enumerate(ring, start=1)
    ]
    return f"    <polygon>{''.join(points)}</polygon>\n"


def _number(value: float) -> str:
    return f"{value:.{_DIGITS}g}"  # without the noise of binary fractions, and without ".0"


def _flag(value: object) -> int:
    return 1 if value is True or value == 1 else 0


def _text(text: str) -> str:
    return escape(_NO_XML.sub("\ufffd", text), {"\r": "&#13;"})
