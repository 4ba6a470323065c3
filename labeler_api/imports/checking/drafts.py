"""The annotations of a file, checked and ready for the database: in a temporary file, as lines that COPY takes.

Blocking; call it in a thread. Everything that is wrong with a file is found here, before a transaction is open.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple

import msgspec
from msgspec import Raw, Struct

from labeler_api.annotations.geometry import (
    MAX_ATTRIBUTES_BYTES,
    MAX_GEOMETRY_BYTES,
    NO_OBJECT,
    SHAPES,
    TASK_OF_TYPE,
    attributes_of,
    check_geometry,
    check_size,
    task_of,
)
from labeler_api.errors import AppError
from labeler_api.http.input.json_rules import Broken, holds_nul, judge
from labeler_api.imports.checking import exif_rotation
from labeler_api.imports.readers.items import (
    MAX_CLASSES,
    NO_ATTRIBUTES,
    FileClass,
    FileImage,
    Outline,
    PlacedImage,
    Problems,
    Reader,
    Shape,
)
from labeler_api.text.names import is_unseen, quoted

# Of one COPY: some 200 ms of the database, and little beside a process's memory. One of a whole file would look like
# that of a process that stands still (db/stalled_transactions.py).
_CHUNK_BYTES = 4 * 1024 * 1024
_MAX_PER_IMAGE = 10_000  # nobody can look through more, and the page of one image loads them all
_MAX_CLASS_NAME = 255  # the width of the column
_BACKGROUND = b"__background__"  # the class name of an annotation that says that there is nothing
_PLACE = attrgetter("place")
_WITHOUT_PLACE = {"classification", NO_OBJECT}
_SAME_RATIO = 0.02  # a scaled copy is rounded to whole pixels
_SURELY_SHORT = MAX_GEOMETRY_BYTES // 2  # PostgreSQL adds a blank behind each comma and colon

_encode = msgspec.json.Encoder().encode
_OUTLINES = {kind: msgspec.json.Decoder(SHAPES[kind]) for kind in ("bbox", "polygon", "polyline", "circle")}


@dataclass(slots=True)
class Drafts:
    """Checked annotations. `classes` are (task, number of the class in the file); drafts name them by position."""

    file: IO[bytes]
    chunks: list[int] = field(default_factory=list)  # their sizes in bytes
    total: int = 0
    tasks: Counter[str] = field(default_factory=Counter)
    images: Counter[str] = field(default_factory=Counter)
    classes: dict[tuple[str, int], int] = field(default_factory=dict)

    def read(self) -> Iterator[bytes]:
        """Yield the chunks, lines with the columns of `staging.store.STAGED`; may be read again."""
        self.file.seek(0)
        for size in self.chunks:
            yield self.file.read(size)

    def close(self) -> None:
        """Remove the temporary file."""
        self.file.close()


def make_drafts(reader: Reader, images: Sequence[PlacedImage | None], problems: Problems) -> Drafts:
    """Check every annotation of a file. What is wrong goes into `problems`; the caller decides what that means."""
    drafts = Drafts(TemporaryFile())  # noqa: SIM115 - closed by `Drafts.close`
    try:
        writer = _Writer(drafts)
        targets = _Targets(reader.images, images, problems)
        for place, shapes in groupby(reader.shapes(images), key=_PLACE):
            try:  # of one place all shapes are taken, or none
                lines = [_checked(*fitted) for shape in shapes if (fitted := targets.of(shape)) is not None]
            except AppError as error:
                problems.add(place, _told(error))
                continue
            for line in lines:
                writer.add(line)
        writer.flush()
        _check_counts(drafts, problems)
        _check_classes(reader.classes, problems)
    except BaseException:
        drafts.close()
        raise
    return drafts


def sizes_differ(images: Sequence[FileImage], placed: Sequence[PlacedImage | None]) -> int:
    """Count the images that the file believes to have another size: its coordinates may be of a scaled copy."""
    return sum(
        1
        for image, one in zip(images, placed, strict=True)
        if one
        and image.width
        and image.height
        and one.width
        and (image.width, image.height) != (one.width, one.height)
        and not exif_rotation.is_turned(image, one)
    )


class _Target(Struct, frozen=True):
    """An image of the dataset, with what its annotations have in common."""

    image_id: str
    column: bytes  # its id as a line has it
    size: dict[str, int]  # as exports and the frontend read it beside a shape
    size_members: bytes  # the same, as JSON writes it behind the bracket of an object


class _Targets:
    """The images of a file that are there, each with what its annotations have in common."""

    def __init__(self, in_file: Sequence[FileImage], placed: Sequence[PlacedImage | None], problems: Problems) -> None:
        self._in_file = in_file
        self._placed = placed
        self._targets = [_target(one, image) if one else None for one, image in zip(placed, in_file, strict=True)]
        self._swapped = {
            number for number, one in enumerate(placed) if one is not None and _is_swapped(in_file[number], one)
        }
        self._told = set[int]()
        self._problems = problems

    def of(self, shape: Shape) -> tuple[Shape, _Target] | None:
        """Return a shape with its image, turned with it where the file has it unturned.

        None where the image is not there, or the shape would come to lie somewhere else.
        """
        target = self._targets[shape.image]
        if target is not None and shape.image in self._swapped and shape.annotation_type not in _WITHOUT_PLACE:
            turned = exif_rotation.rotated_shape(shape, self._in_file[shape.image], self._placed[shape.image])
            if turned is None:
                self._tell(shape.image)
                return None
            shape = turned
        return None if target is None else (shape, target)

    def _tell(self, number: int) -> None:
        """Say once what is wrong with the size of an image."""
        image, one = self._in_file[number], self._placed[number]
        if number not in self._told and one is not None:
            self._told.add(number)
            self._problems.add(
                image.place,
                f"the file has {quoted(image.name)} with {image.width} x {image.height} pixels, and it is displayed "
                f"with {one.width} x {one.height}: write the shapes for the picture as it is displayed (EXIF "
                "orientation), with its size",
            )


def _is_swapped(image: FileImage, one: PlacedImage) -> bool:
    """Whether the sides have changed places, be it in a scaled copy. Of what is square nobody can tell.

    Then the file's shapes are those of the picture as it lies in its bytes, before it is turned.
    """
    if not (image.width and image.height and one.width and one.height):
        return False
    if (image.width - image.height) * (one.width - one.height) >= 0:
        return False
    return abs(image.width * one.width / (image.height * one.height) - 1) < _SAME_RATIO


def _target(image: PlacedImage, in_file: FileImage) -> _Target:
    width, height = image.width or in_file.width, image.height or in_file.height
    size = {"image_width": width, "image_height": height} if width and height else {}
    members = msgspec.json.encode(size)[1:-1] + b"," if size else b""
    return _Target(image.id, _escaped(image.id.encode()), size, members)


class _Checked(NamedTuple):
    """An annotation that was found right, with the columns that were made for that."""

    shape: Shape
    target: _Target
    task: str
    geometry: bytes
    attributes: bytes


def _checked(shape: Shape, target: _Target) -> _Checked:
    """Check one annotation as a new one is. Raises BadRequest and Invalid."""
    attributes = shape.attributes
    if attributes is NO_ATTRIBUTES and shape.annotation_type in TASK_OF_TYPE:
        task, text = TASK_OF_TYPE[shape.annotation_type], b"{}"
    else:
        _check_attributes(attributes)
        task, text = task_of(shape.annotation_type, attributes_of(attributes)), _escaped(bytes(attributes))
    return _Checked(shape, target, task, _checked_geometry(shape, target), text)


class _Writer:
    def __init__(self, drafts: Drafts) -> None:
        self._drafts = drafts
        self._items: list[bytes] = []
        self._bytes = 0
        self._middles: dict[tuple[str, str, int | None], bytes] = {}  # the columns that many lines have in common

    def add(self, checked: _Checked) -> None:
        """Write the line of an annotation."""
        drafts = self._drafts
        shape, target, task, geometry, attributes = checked
        number = drafts.images[target.image_id] = drafts.images.get(target.image_id, 0) + 1
        if number > _MAX_PER_IMAGE:  # told when they are counted
            return
        kind = (shape.annotation_type, task, shape.class_number)
        middle = self._middles.get(kind)
        if middle is None:
            middle = self._middles[kind] = self._middle(shape, task)
        line = b"%d\t%b\t%b\t%b\t%b\n" % (drafts.total, target.column, middle, geometry, attributes)
        drafts.total += 1
        drafts.tasks[task] += 1
        self._items.append(line)
        self._bytes += len(line)
        if self._bytes >= _CHUNK_BYTES:
            self.flush()

    def _middle(self, shape: Shape, task: str) -> bytes:
        return b"%b\t%b\t%b\t%b" % (
            shape.annotation_type.encode(),
            _escaped(task.encode()),
            _class_position(shape, task, self._drafts),
            _BACKGROUND if shape.annotation_type == NO_OBJECT else b"\\N",
        )

    def flush(self) -> None:
        if self._items:
            self._drafts.file.writelines(self._items)
            self._drafts.chunks.append(self._bytes)
            self._items.clear()
            self._bytes = 0


def _escaped(value: bytes) -> bytes:
    value = value.replace(b"\\", b"\\\\")  # first: the others put some in
    return value.replace(b"\n", b"\\n").replace(b"\r", b"\\r").replace(b"\t", b"\\t")


def _checked_geometry(shape: Shape, target: _Target) -> bytes:
    """Check a geometry; return it with the size of its image, as a line has it. Raises Invalid.

    Of one that was made here only the numbers are open: without a small one such as 1e-300, which PostgreSQL writes
    with all its digits, it is as short as it looks.
    """
    kind = shape.annotation_type
    if isinstance(shape.geometry, Outline):
        text = b"{%b%b" % (target.size_members, _encode(shape.geometry)[1:])
        if b"e-" not in text and len(text) < _SURELY_SHORT:
            try:
                _OUTLINES[kind].decode(text)
            except msgspec.ValidationError:  # said below
                pass
            else:
                return text
        check_geometry(kind, Raw(text))
        return text
    plain = kind in _WITHOUT_PLACE
    text = _encode(shape.geometry if plain else {**target.size, **shape.geometry})
    check_geometry(kind, Raw(text))
    if holds_nul(text):
        raise AppError("a text holds the character NUL, which cannot be stored")
    return _escaped(text)


def _told(error: AppError) -> str:
    """Say what is wrong with an annotation and where in it, without the body that it would come in."""
    found: Any = error.extra.get("errors")
    if not found:
        return error.detail
    place = ".".join(str(step) for step in found[0]["loc"][1:])
    return f"{place}: {found[0]['message']}" if place else str(found[0]["message"])


def _check_attributes(attributes: Raw) -> None:
    """Hold the free part of an annotation to the rules of every body."""
    check_size(attributes, "attributes", MAX_ATTRIBUTES_BYTES)
    try:
        judge(bytes(attributes))
    except Broken as error:
        raise AppError(f"its attributes: the text {error}") from None


def _class_position(shape: Shape, task: str, drafts: Drafts) -> bytes:
    if shape.class_number is None:
        return b"\\N"
    return b"%d" % drafts.classes.setdefault((task, shape.class_number), len(drafts.classes))


def _check_counts(drafts: Drafts, problems: Problems) -> None:
    for image_id, number in drafts.images.items():
        if number > _MAX_PER_IMAGE:
            problems.add(image_id, f"has {number} annotations; {_MAX_PER_IMAGE} are the most that an image may have")


def _check_classes(classes: Sequence[FileClass], problems: Problems) -> None:
    if len(classes) > MAX_CLASSES:
        problems.add("classes", f"are more than {MAX_CLASSES}", is_fatal=True)
    for entry in classes:
        if not entry.name.strip() or len(entry.name) > _MAX_CLASS_NAME or any(map(is_unseen, entry.name)):
            problems.add(
                f"class {entry.key[:50]}",
                f"needs a name of 1 to {_MAX_CLASS_NAME} visible characters",
                is_fatal=True,
            )
