"""Pascal VOC: a ZIP of XML files, one an image (http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc).

Pixels are counted from 1 and the last one is inside, as in our own export: `xmin` 11 and `xmax` 40 are a box that
begins at 10 and is 30 wide. A `polygon` of `x1`, `y1`, `x2`, … is an outline, unless the project has boxes and none.
Classes are known by their names. Attributes are CVAT's, `truncated` and `difficult`; a `rotation` turns the box.
A file without objects says nothing: it may mean an image without objects as well as one that nobody looked at.
"""

import zipfile
from collections.abc import Iterator, Mapping, Sequence, Set
from io import BytesIO
from itertools import count
from math import isfinite, nan
from typing import Any
from xml.etree.ElementTree import Element

import msgspec
from msgspec import Raw

from labeler_api.errors import FileRejected
from labeler_api.images.upload.archives import extract
from labeler_api.images.upload.schemas import ImportFormatName
from labeler_api.imports.readers import outlines
from labeler_api.imports.readers.class_table import ClassTable, pixels
from labeler_api.imports.readers.items import (
    NO_ATTRIBUTES,
    FileImage,
    Geometry,
    ImageList,
    PlacedImage,
    Problems,
    Shape,
    Unreadable,
)
from labeler_api.imports.readers.outlines import MalformedShape
from labeler_api.imports.readers.voc_xml import parsed
from labeler_api.text.counted_nouns import counted
from labeler_api.text.names import quoted

_MAX_FILE_BYTES = 16 * 1024 * 1024  # 10 000 objects of a hundred points
_ROOT, _FOLDER = "annotation", "annotations"
_IMAGE_FOLDERS = ("JPEGImages", "images")  # where readers look for the images beside `Annotations`
_ANY_EXTENSION = ".jpg"  # an image is found by its name without it, too
_FIRST_PIXEL = 1
_FLAGS = ("truncated", "difficult")


class VocReader:
    """See `items.Reader`. `tasks` are those of the project."""

    format: ImportFormatName = "voc"

    def __init__(
        self,
        archive: zipfile.ZipFile,
        entries: Mapping[str, zipfile.ZipInfo],
        tasks: Set[str],
        problems: Problems,
    ) -> None:
        self._archive = archive
        self._problems = problems
        self._takes_outlines = "segmentation" in tasks or "detection" not in tasks
        self._classes = ClassTable((), "classes", problems)
        self.classes = self._classes.classes
        self.warnings: list[str] = []
        self.images: list[FileImage] = ImageList()
        self._entries: list[zipfile.ZipInfo] = []  # beside the images
        self._boxed = self._turned = self._from_zero = 0
        self._read_images(entries)

    def is_about_an_image(self, number: int) -> bool:  # noqa: ARG002
        """Whether it is one: always."""
        return True

    def shapes(self, images: Sequence[PlacedImage | None]) -> Iterator[Shape]:
        """Yield the objects of every file, one file in memory at a time."""
        for number, (image, entry) in enumerate(zip(self.images, self._entries, strict=True)):
            if images[number] is None:  # told already
                continue
            for position, element in enumerate(self._root(entry).iterfind("object")):
                place = f"{image.place}: object[{position}]"
                try:
                    kind, geometry, attributes = self._drawn(element)
                    yield Shape(place, number, kind, geometry, self._class(element), attributes)
                except MalformedShape as error:
                    self._problems.add(place, str(error))
        self._warn()

    def _read_images(self, entries: Mapping[str, zipfile.ZipInfo]) -> None:
        """Keep those files that have objects; what is XML of another kind is passed over."""
        files = empty = 0
        for name in sorted(name for name in entries if name.lower().endswith(".xml")):
            try:
                root = self._root(entries[name])
            except MalformedShape as error:
                files += 1
                self._problems.add(name, str(error))
                continue
            if root.tag != _ROOT:
                continue
            files += 1
            if root.find("object") is None:
                empty += 1
                continue
            first, *others = image_names(name, _text(root, "folder"), _text(root, "filename"))
            width, height = (pixels(_text(root, f"size/{side}")) for side in ("width", "height"))
            self.images.append(FileImage(name, first, width, height, paired=(first, *others)))
            self._entries.append(entries[name])
        if not files:
            raise Unreadable("its XML files are no Pascal VOC: none has the element annotation at its top")
        if empty:
            self.warnings.append(f"{counted(empty, 'file has', 'files have')} no objects; nothing was read from there.")

    def _root(self, entry: zipfile.ZipInfo) -> Element:
        target = BytesIO()
        try:
            extract(self._archive, entry, target, _MAX_FILE_BYTES)
        except FileRejected as refusal:
            raise MalformedShape(refusal.detail) from None
        return parsed(target.getvalue())

    def _drawn(self, element: Element) -> tuple[str, Geometry, Raw]:
        attributes, rotation = _attributes(element)
        ring = _ring(element)
        if ring and (self._takes_outlines or element.find("bndbox") is None):
            return "polygon", outlines.polygon(ring), attributes
        self._boxed += bool(ring)
        box = self._box(element)
        if rotation:
            self._turned += 1
            return "rotated_bbox", outlines.turned_box(box, rotation), attributes
        return "bbox", outlines.Box(box), attributes

    def _box(self, element: Element) -> list[float]:
        if element.find("bndbox") is None:
            raise MalformedShape("it has no bndbox")
        left, top, right, bottom = (_number(element, f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax"))
        self._from_zero += left < _FIRST_PIXEL or top < _FIRST_PIXEL
        left, top = left - _FIRST_PIXEL, top - _FIRST_PIXEL
        return [left, top, right - left, bottom - top]

    def _class(self, element: Element) -> int:
        name = _text(element, "name")
        if not name:
            raise MalformedShape("it has no name of a class")
        number = self._classes.number(name)
        if number is None:
            raise AssertionError("the file lists no classes")
        return number

    def _warn(self) -> None:
        if self._turned:
            self.warnings.append(outlines.about_turned(self._turned))
        if self._from_zero:
            begins = counted(self._from_zero, "box begins", "boxes begin")
            self.warnings.append(
                f"{begins} before the first pixel, which is 1 in Pascal VOC; look whether the file counts from 0."
            )
        if self._boxed:
            objects = counted(self._boxed, "object has", "objects have")
            self.warnings.append(
                f"{objects} an outline and a box. The project has the task detection and not segmentation, so the box "
                "was taken."
            )


def image_names(name: str, folder: str, file_name: str) -> list[str]:
    """Return the paths that the image of an XML file may have, the surest first.

    Readers pair by the name of the XML file, and look into the folder beside `Annotations`. An export of ours, and
    labelImg, say in `folder` where the image lies; then it is there.
    """
    *folders, last = name.split("/")
    stem = last[: -len(".xml")]
    told = file_name.replace("\\", "/").rpartition("/")[2]
    extension = told[told.rindex(".") :] if "." in told.strip(".") else _ANY_EXTENSION
    own = told if told in (stem, f"{stem}{extension}") and "." in told else f"{stem}{extension}"
    files = [own] if told in ("", own, stem) else [own, told]
    at = next((n for n in reversed(range(len(folders))) if folders[n].lower() == _FOLDER), None)
    if at is None:
        places = [folders, folder.replace("\\", "/").split("/")]
    else:
        before, behind = folders[:at], folders[at + 1 :]
        beside = [[*before, images, *behind] for images in _IMAGE_FOLDERS]
        says_so = folder == "/".join(behind)
        places = [behind, *beside, [*before, *behind]] if says_so else [*beside, behind, [*before, *behind]]
    return list(dict.fromkeys("/".join([*place, file]) for file in files for place in places))


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _number(element: Element, path: str) -> float:
    text = _text(element, path)
    try:
        number = float(text)
    except ValueError:
        number = nan
    if not isfinite(number):
        raise MalformedShape(f"its {path.rpartition('/')[2]} is {quoted(text)} and no number")
    return number


def _ring(element: Element) -> list[float]:
    """Read `polygon`: x1, y1, x2, … counted from 1; empty where there is none."""
    polygon = element.find("polygon")
    if polygon is None:
        return []
    ring: list[float] = []
    for number in count(1):
        if polygon.find(f"x{number}") is None:
            return ring
        ring += [_number(polygon, f"{axis}{number}") - _FIRST_PIXEL for axis in "xy"]
    raise AssertionError("counting does not end")


def _attributes(element: Element) -> tuple[Raw, float]:
    """Return the attributes, and by how many degrees the box is turned."""
    found: dict[str, Any] = {flag: True for flag in _FLAGS if _text(element, flag) == "1"}
    for attribute in element.iterfind("attributes/attribute"):
        value = _text(attribute, "value")
        found[_text(attribute, "name")] = {"true": True, "false": False}.get(value.lower(), value)
    rotation = outlines.degrees(found.get("rotation"))
    return (Raw(msgspec.json.encode(found)) if found else NO_ATTRIBUTES), rotation
