"""COCO and DICE in a ZIP, as CVAT and Roboflow export them: one JSON file, or one for each subset.

The pictures in the archive are not read. Their paths show which image a name means, since names begin below the
subset's folder. Each of several files is about its own images; their classes are merged by id and name.
"""

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from tempfile import TemporaryFile
from typing import IO

from labeler_api.errors import FileRejected
from labeler_api.images.upload.archives import extract
from labeler_api.images.upload.schemas import ImportFormatName
from labeler_api.imports.readers.items import (
    FileClass,
    FileImage,
    ImageList,
    PlacedImage,
    Problems,
    Reader,
    Shape,
    Unreadable,
)
from labeler_api.imports.readers.strict_json import Document

MAX_FILE_BYTES = 512 * 1024**2  # as of a file that comes alone
_MAX_FILES = 20  # train, valid, test and some folds
_FOLDER = "annotations"
_INSTANCES = "instances"  # what COCO's own archive calls boxes and outlines, beside captions and key points of the same

Open = Callable[[Document], Reader | None]


class ZippedReader:
    """See `items.Reader`; the readers of the JSON files, one behind the other."""

    def __init__(self, parts: Sequence[tuple[str, Reader]], names: Set[str]) -> None:
        self._parts = parts
        self.format: ImportFormatName = parts[0][1].format
        self.classes: list[FileClass] = []
        self.warnings: list[str] = []
        self.images: list[FileImage] = ImageList()
        self._numbers: dict[FileClass, int] = {}
        for name, reader in parts:
            for entry in reader.classes:
                self._number(entry)
            for image in reader.images:
                self.images.append(_within(name, image, names))

    def is_about_an_image(self, number: int) -> bool:  # noqa: ARG002
        """Whether it is one: always."""
        return True

    def shapes(self, images: Sequence[PlacedImage | None]) -> Iterator[Shape]:
        """Yield the annotations of each file."""
        offset = 0
        for name, reader in self._parts:
            behind = offset + len(reader.images)
            for shape in reader.shapes(images[offset:behind]):
                number = None if shape.class_number is None else self._number(reader.classes[shape.class_number])
                place = f"{name}: {shape.place}"
                yield Shape(
                    place, shape.image + offset, shape.annotation_type, shape.geometry, number, shape.attributes
                )
            self.warnings += reader.warnings
            offset = behind

    def _number(self, entry: FileClass) -> int:
        """Return the place of a class among those of all files, which the same class of another file has, too."""
        known = FileClass(entry.key, entry.name)
        if known not in self._numbers:
            self._numbers[known] = len(self.classes)
            self.classes.append(entry)
        return self._numbers[known]


class Within(Problems):
    """Problems of one file among several."""

    def __init__(self, whole: Problems, name: str) -> None:
        super().__init__()
        self._whole = whole
        self._name = name

    def add(self, place: str, message: str, *, is_fatal: bool = False) -> None:
        """Note a problem, with the name of the file."""
        self._whole.add(f"{self._name}: {place}", message, is_fatal=is_fatal)


def annotation_files(
    archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo]
) -> Iterator[tuple[str, IO[bytes]]]:
    """Unpack the JSON files that may hold annotations. Raises Unreadable."""
    names = sorted(name for name in entries if name.lower().endswith(".json"))
    named = [name for name in names if name.rpartition("/")[2].lower().startswith(_INSTANCES)]
    for name in (named or names)[:_MAX_FILES]:
        file = TemporaryFile()  # noqa: SIM115 - closed with its reader, which reads it again
        try:
            extract(archive, entries[name], file, MAX_FILE_BYTES)
        except FileRejected as refusal:
            file.close()
            raise Unreadable(f"{name}: {refusal.detail}") from None
        yield name, file


def _within(name: str, image: FileImage, names: Set[str]) -> FileImage:
    """Add where the image lies by the archive: below the folder of the JSON file, or beside `annotations`."""
    *folders, last = name.split("/")
    subset = last.rpartition(".")[0].removeprefix(f"{_INSTANCES}_")
    told = image.name.replace("\\", "/")
    if folders and folders[-1].lower() == _FOLDER:
        root = folders[:-1]
        beside = ["/".join([*root, *place, told]) for place in (["images", subset], ["images"], [subset], [])]
        paired = tuple(path for path in beside if path in names)
    else:
        paired = ("/".join([*folders, told]),) if folders else ()
    return FileImage(f"{name}: {image.place}", image.name, image.width, image.height, image.has_extension, paired)
