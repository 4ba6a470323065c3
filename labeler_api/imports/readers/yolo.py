"""YOLO: a ZIP of label files, a line an object, in parts of the image's width and height.

Boxes are `class x y width height` (of the centre), outlines `class x1 y1 x2 y2 …`. The label file of the image
`a/b.jpg` is `labels/a/b.txt`, as in our own export; `a/labels/b.txt` and paths without `labels` are understood, too.
An empty label file says nothing: it may mean an image without objects as well as one that nobody looked at.
"""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from math import isfinite
from typing import IO

from labeler_api.images.archives import entry_name, extract, open_archive
from labeler_api.images.paths import Refused
from labeler_api.imports.readers import outlines, yolo_names
from labeler_api.imports.readers.items import (
    FileClass,
    FileImage,
    FormatName,
    Geometry,
    PlacedImage,
    Problems,
    Shape,
    Unreadable,
)
from labeler_api.imports.readers.outlines import Malformed
from labeler_api.names import quoted
from labeler_api.plurals import counted

_LISTS = {"classes.txt", "train.txt", "val.txt", "test.txt"}  # of classes and of images
_MAX_LABEL_BYTES = 16 * 1024 * 1024  # 10 000 annotations of a hundred points
_MAX_ENTRIES = 65_000  # what a ZIP counts without ZIP64
_BOX_NUMBERS = 4
_BOX_AND_CONFIDENCE = 5  # what predictions are saved as; how sure the model was is not kept
_TOLERANCE = 0.001  # other tools round; beyond it the numbers are pixels
# What the frontend draws with. Files mostly have six decimals, which bring just these back up to 5 000 pixels.
_DECIMALS = 2


@dataclass(frozen=True, slots=True)
class _Label:
    entry: zipfile.ZipInfo
    name: str


class YoloReader:
    """See `items.Reader`."""

    format: FormatName = "yolo"

    def __init__(self, file: IO[bytes], problems: Problems) -> None:
        self._problems = problems
        try:
            self._archive = open_archive(file, max_entries=_MAX_ENTRIES)
        except Refused as refusal:
            raise Unreadable(f"the archive cannot be taken: {refusal.detail}") from None
        entries = {name: entry for entry in self._archive.infolist() if _is_wanted(name := entry_name(entry))}
        self.classes: list[FileClass] = self._read_classes(entries)
        self._numbers = {entry.key: number for number, entry in enumerate(self.classes)}
        self._labels = _labels(entries)
        self.warnings = _about_empty(entries)
        self.images = [FileImage(label.name, _image_name(label.name), has_extension=False) for label in self._labels]

    def shapes(self, images: Sequence[PlacedImage | None]) -> Iterator[Shape]:
        """Yield the lines of every label file, one file in memory at a time."""
        for number, (label, image) in enumerate(zip(self._labels, images, strict=True)):
            if image is None:  # told already
                continue
            if not image.width or not image.height:
                self._problems.add(label.name, f"the size of the image {quoted(image.id)} is not known")
                continue
            yield from self._lines(label, number, image.width, image.height)

    def _lines(self, label: _Label, image: int, width: int, height: int) -> Iterator[Shape]:
        try:
            text = self._read(label.entry, _MAX_LABEL_BYTES).decode("utf-8-sig")
        except (Refused, UnicodeDecodeError) as error:
            self._problems.add(label.name, error.detail if isinstance(error, Refused) else "is not UTF-8")
            return
        for line, content in enumerate(text.splitlines(), start=1):
            if not (words := content.split()):
                continue
            place = f"{label.name}:{line}"
            try:
                number = self._class(words[0])
                kind, geometry = _geometry(_numbers(words[1:]), width, height)
            except Malformed as error:
                self._problems.add(place, str(error))
                continue
            yield Shape(place, image, kind, geometry, number)

    def _class(self, word: str) -> int:
        number = self._numbers.get(word)
        if number is None:
            named = counted(len(self.classes), "class", "classes")
            raise Malformed(f"its class {quoted(word)} has no name: the archive names {named}")
        return number

    def _read_classes(self, entries: dict[str, zipfile.ZipInfo]) -> list[FileClass]:
        """Take the names nearest to the top; a data.yaml before a classes.txt."""
        for base_names, read in (
            (("data.yaml", "dataset.yaml", "data.yml"), yolo_names.from_yaml),
            (("classes.txt", "obj.names"), yolo_names.from_lines),
        ):
            found = [name for name in entries if name.rpartition("/")[2] in base_names]
            if found:
                nearest = min(found, key=lambda name: (name.count("/"), name))
                try:
                    return read(self._read(entries[nearest], yolo_names.MAX_BYTES))
                except Refused as refusal:
                    raise Unreadable(f"{nearest}: {refusal.detail}") from None
        raise Unreadable("the archive has neither a data.yaml nor a classes.txt with the names of the classes")

    def _read(self, entry: zipfile.ZipInfo, limit: int) -> bytes:
        target = BytesIO()
        extract(self._archive, entry, target, limit)
        return target.getvalue()


def _is_wanted(name: str) -> bool:
    segments = name.split("/")
    return not name.endswith("/") and "__MACOSX" not in segments and not segments[-1].startswith(".")


def _labels(entries: dict[str, zipfile.ZipInfo]) -> list[_Label]:
    """Find the label files: every .txt below a `labels` folder; where there is none, every .txt that is no list."""
    texts = sorted(name for name in entries if name.lower().endswith(".txt"))
    chosen = [name for name in texts if "labels" in name.split("/")[:-1]]
    chosen = chosen or [name for name in texts if name.rpartition("/")[2] not in _LISTS]
    labels = [_Label(entries[name], name) for name in chosen if entries[name].file_size]
    if not labels:
        raise Unreadable("the archive has no label files (labels/….txt) with content")
    return labels


def _about_empty(entries: dict[str, zipfile.ZipInfo]) -> list[str]:
    empty = sum(name.lower().endswith(".txt") and not entry.file_size for name, entry in entries.items())
    if not empty:
        return []
    return [f"{counted(empty, 'label file is empty; it was', 'label files are empty; they were')} passed over."]


def _image_name(label: str) -> str:
    """Return the path of the image that a label file is about, without extension."""
    segments = label[: -len(".txt")].split("/")
    if "labels" in segments[:-1]:
        # At the top it is the format's own; below, the innermost: outer ones may be folders of the dataset.
        last = len(segments) - 2 - segments[:-1][::-1].index("labels")
        del segments[0 if segments[0] == "labels" else last]
    return "/".join(segments)


def _numbers(words: list[str]) -> list[float]:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        raise Malformed("it holds something that is no number") from None
    if not all(isfinite(number) and -_TOLERANCE <= number <= 1 + _TOLERANCE for number in numbers):
        raise Malformed("its numbers are no parts of the image: expected 0 to 1")
    return numbers


def _geometry(numbers: list[float], width: int, height: int) -> tuple[str, Geometry]:
    if len(numbers) in (_BOX_NUMBERS, _BOX_AND_CONFIDENCE):
        x, y, w, h = numbers[:_BOX_NUMBERS]
        corner = [_pixels((x - w / 2) * width), _pixels((y - h / 2) * height)]
        # What is smaller than the last digit stays what it is, so that no box loses its last bit of width.
        return "bbox", outlines.Box([*corner, _pixels(w * width) or w * width, _pixels(h * height) or h * height])
    ring = [_pixels(number * (height if position % 2 else width)) for position, number in enumerate(numbers)]
    return "polygon", outlines.polygon(ring)


def _pixels(value: float) -> float:
    return round(value, _DECIMALS)
