"""YOLO: a ZIP of label files, a line an object, in parts of the image's width and height.

Boxes are `class x y width height` (of the centre), outlines `class x1 y1 x2 y2 …`. Where `kpt_shape` says that key
points follow each box, the box is taken. Which label belongs to which image: `yolo_layout`.
An empty label file says nothing: it may mean an image without objects as well as one that nobody looked at.
"""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from typing import IO

from labeler_api.errors import FileRejected
from labeler_api.images.upload.archives import entry_name, extract, open_archive
from labeler_api.images.upload.schemas import ImportFormatName
from labeler_api.imports.readers import outlines, yolo_layout, yolo_names, yolo_numbers
from labeler_api.imports.readers.items import FileClass, FileImage, Geometry, PlacedImage, Problems, Shape, Unreadable
from labeler_api.imports.readers.outlines import MalformedShape
from labeler_api.text.counted_nouns import counted
from labeler_api.text.names import quoted

_MAX_DESCRIPTIONS = 10  # those of a training run lie about: args.yaml, hyp.yaml
_LOOKED_AT = 50  # texts; among fifty there is a label, or there is none
_MAX_LABEL_BYTES = 16 * 1024 * 1024  # 10 000 annotations of a hundred points
_MAX_ENTRIES = 65_000  # what a ZIP counts without ZIP64
_BOX_NUMBERS = 4
_BOX_AND_CONFIDENCE = 5  # what predictions are saved as; how sure the model was is not kept
# What the frontend draws with. Files mostly have six decimals, which bring just these back up to 5 000 pixels.
_DECIMALS = 2


@dataclass(frozen=True, slots=True)
class _Label:
    entry: zipfile.ZipInfo
    name: str


class YoloReader:
    """See `items.Reader`."""

    format: ImportFormatName = "yolo"

    def __init__(self, archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo], problems: Problems) -> None:
        self._problems = problems
        self._archive, self._entries = archive, entries
        self._described = self._descriptions()
        self._points = self._points_of_all()
        self.classes: list[FileClass] = self._read_classes()
        self._numbers = {entry.key: number for number, entry in enumerate(self.classes)}
        names = yolo_layout.label_names(entries, self._lists(), self._start)
        self._labels = [_Label(entries[name], name) for name in names if entries[name].file_size]
        if not self._labels:
            raise Unreadable("the archive has no label files (labels/….txt) with content")
        self.warnings = _about_empty(len(names) - len(self._labels))
        self.images = [self._image(label) for label in self._labels]
        self._without_points = 0

    def is_about_an_image(self, number: int) -> bool:
        """Whether a text that belongs to no image of the dataset is a label at all."""
        return yolo_numbers.looks_like_a_label(self._start(self._labels[number].name))

    def shapes(self, images: Sequence[PlacedImage | None]) -> Iterator[Shape]:
        """Yield the lines of every label file, one file in memory at a time."""
        for number, (label, image) in enumerate(zip(self._labels, images, strict=True)):
            if image is None:  # told already
                continue
            if not image.width or not image.height:
                self._problems.add(label.name, f"the size of the image {quoted(image.id)} is not known")
                continue
            yield from self._lines(label, number, image.width, image.height)
        if self._without_points:
            boxes = counted(self._without_points, "box has", "boxes have")
            self.warnings.append(f"{boxes} key points (kpt_shape in data.yaml); they were left out.")

    def _lines(self, label: _Label, image: int, width: int, height: int) -> Iterator[Shape]:
        try:
            text = _read(self._archive, label.entry, _MAX_LABEL_BYTES).decode("utf-8-sig")
        except (FileRejected, UnicodeDecodeError) as error:
            self._problems.add(label.name, error.detail if isinstance(error, FileRejected) else "is not UTF-8")
            return
        for line, content in enumerate(text.splitlines(), start=1):
            if not (words := content.split()):
                continue
            place = f"{label.name}:{line}"
            try:
                number = self._class(words[0])
                kind, geometry = _geometry(self._coordinates(words[1:]), width, height)
            except MalformedShape as error:
                self._problems.add(place, str(error))
                continue
            yield Shape(place, image, kind, geometry, number)

    def _class(self, word: str) -> int:
        key = yolo_numbers.whole(word)
        number = self._numbers.get(key) if key is not None else None
        if number is None:
            named = counted(len(self.classes), "class", "classes")
            raise MalformedShape(f"its class {quoted(word)} has no name: the archive names {named}")
        return number

    def _coordinates(self, words: list[str]) -> list[float]:
        """Read the numbers of a line; of a box with key points those of the box."""
        if self._points is None or len(words) in (_BOX_NUMBERS, _BOX_AND_CONFIDENCE):
            return yolo_numbers.fractions(words)
        points, each = self._points
        expected = _BOX_NUMBERS + points * each
        if len(words) not in (expected, expected + 1):  # the last: how sure a model was
            raise MalformedShape(
                f"it has {len(words)} numbers; kpt_shape [{points}, {each}] in data.yaml asks for {expected}"
            )
        self._without_points += 1
        return yolo_numbers.fractions(words[:_BOX_NUMBERS])

    def _image(self, label: _Label) -> FileImage:
        if not any(one.is_ours for one in self._described.values()):
            name, paired = yolo_layout.image_names(label.name)
        elif label.entry.comment:  # where the label's path does not tell: the image's own, with its extension
            return FileImage(label.name, label.entry.comment.decode("utf-8", "replace"))
        else:
            name, paired = yolo_layout.exported_names(label.name)
        return FileImage(label.name, name, has_extension=False, paired=paired)

    def _descriptions(self) -> dict[str, yolo_names.Description]:
        """Read every data.yaml, the one that counts first. What goes by another name may be of another kind."""
        found = {}
        names = [name for name in self._entries if name.lower().endswith((".yaml", ".yml"))]
        by_rank = sorted(names, key=lambda name: (not yolo_layout.is_description(name), name.count("/"), name))
        for number, name in enumerate(by_rank[:_MAX_DESCRIPTIONS]):
            try:
                found[name] = yolo_names.described(self._content(name))
            except Unreadable:
                if number == 0 and yolo_layout.is_description(name):
                    raise
        return found

    def _points_of_all(self) -> tuple[int, int] | None:
        shapes = {points for one in self._described.values() if (points := one.points) is not None}
        if len(shapes) > 1:
            raise Unreadable("its descriptions (data.yaml) have different values of kpt_shape; send them one by one")
        return shapes.pop() if shapes else None

    def _read_classes(self) -> list[FileClass]:
        """Take the names nearest to the top; a data.yaml before a classes.txt, and any other .yaml at last."""
        first = next(iter(self._described), None)
        if first is not None and yolo_layout.is_description(first):
            return self._described[first].classes
        lists = [name for name in self._entries if yolo_layout.is_class_list(name) and self._names_classes(name)]
        if lists:
            return self._listed_classes(lists)
        for description in self._described.values():
            if description.values.get("names"):
                return description.classes
        raise Unreadable("the archive has neither a data.yaml nor a classes.txt with the names of the classes")

    def _listed_classes(self, lists: list[str]) -> list[FileClass]:
        """Read the lists nearest to the top. Several of one rank have to agree: each may be of a part of the labels."""
        rank = min(map(_rank, lists))
        nearest = sorted(name for name in lists if _rank(name) == rank)
        found = [yolo_names.from_lines(self._content(name), name) for name in nearest]
        for name, classes in zip(nearest, found, strict=True):
            if classes != found[0]:
                raise Unreadable(f"{nearest[0]} and {name} name different classes; send what belongs to each apart")
        return found[0]

    def _names_classes(self, name: str) -> bool:
        return not yolo_numbers.looks_like_a_label(self._start(name))

    def _lists(self) -> set[str]:
        values = [value for one in self._described.values() for value in one.lists]
        for name in self._entries:
            if name.lower().endswith("obj.data"):
                values += yolo_names.lists_of_darknet(self._content(name))
        return yolo_layout.listed_in(values)

    def _start(self, name: str) -> bytes:
        return _start(self._archive, self._entries[name])

    def _content(self, name: str) -> bytes:
        try:
            return _read(self._archive, self._entries[name], yolo_names.MAX_BYTES)
        except FileRejected as refusal:
            raise Unreadable(f"{name}: {refusal.detail}") from None


def opened(file: IO[bytes]) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    """Open an archive, and return its members by name. Raises Unreadable."""
    try:
        archive = open_archive(file, max_entries=_MAX_ENTRIES)
    except FileRejected as refusal:
        raise Unreadable(f"the archive cannot be taken: {refusal.detail}") from None
    names = ((entry_name(entry).replace("\\", "/"), entry) for entry in archive.infolist())
    return archive, {name: entry for name, entry in names if yolo_layout.is_wanted(name)}


def has_labels(archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo]) -> bool:
    """Whether some of the first texts of an archive are labels."""
    texts = islice((name for name in entries if name.lower().endswith(".txt")), _LOOKED_AT)
    return any(yolo_numbers.looks_like_a_label(_start(archive, entries[name])) for name in texts)


def _start(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Read the beginning of a member; what is wrong with it is told when it is read."""
    try:
        return _read(archive, entry, _MAX_LABEL_BYTES)[: yolo_numbers.SNIFFED_BYTES]
    except FileRejected:
        return b""


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: int) -> bytes:
    target = BytesIO()
    extract(archive, entry, target, limit)
    return target.getvalue()


def _rank(name: str) -> tuple[int, int]:
    """How near to the top a list of classes lies, and how sure it is one."""
    last = name.rpartition("/")[2].lower()
    kind = yolo_layout.CLASS_LISTS.index(last) if last in yolo_layout.CLASS_LISTS else len(yolo_layout.CLASS_LISTS)
    return name.count("/"), kind


def _about_empty(empty: int) -> list[str]:
    if not empty:
        return []
    return [f"{counted(empty, 'label file is empty; it was', 'label files are empty; they were')} passed over."]


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
