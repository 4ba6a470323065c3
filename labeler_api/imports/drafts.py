"""The annotations of a file, checked and ready for the database: in a temporary file, as lines that COPY takes.

Blocking; call it in a thread. Everything that is wrong with a file is found here, before a transaction is open.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import IO, Any

import msgspec
from msgspec import Raw

from labeler_api.annotations.geometry import (
    MAX_ATTRIBUTES_BYTES,
    NO_OBJECT,
    attributes_of,
    check_geometry,
    check_size,
    task_of,
)
from labeler_api.annotations.schemas import AnnotationDraft
from labeler_api.errors import AppError
from labeler_api.http.json_rules import Broken, holds_nul, judge
from labeler_api.imports.readers.items import MAX_CLASSES, FileClass, FileImage, PlacedImage, Problems, Reader, Shape
from labeler_api.names import is_unseen

# Of one COPY: some 200 ms of the database, and little beside a process's memory. One of a whole file would look like
# that of a process that stands still (db/frozen.py).
_CHUNK_BYTES = 4 * 1024 * 1024
_MAX_PER_IMAGE = 10_000  # nobody can look through more, and the page of one image loads them all
_MAX_CLASS_NAME = 255  # the width of the column
_BACKGROUND = "__background__"


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
        """Yield the chunks, lines with the columns of `store_stage.STAGED`; may be read again."""
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
        for shape in reader.shapes(images):
            image = images[shape.image]
            if image is None:  # told when the images were looked for
                continue
            try:
                writer.add(_draft(shape, image, reader.images[shape.image], drafts))
            except AppError as error:
                problems.add(shape.place, _told(error))
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
        if one and image.width and image.height and one.width and (image.width, image.height) != (one.width, one.height)
    )


class _Writer:
    def __init__(self, drafts: Drafts) -> None:
        self._drafts = drafts
        self._items: list[bytes] = []
        self._bytes = 0

    def add(self, draft: AnnotationDraft) -> None:
        line = _line(self._drafts.total, draft)
        self._drafts.total += 1
        self._drafts.tasks[draft.task_type] += 1
        self._drafts.images[draft.image_id] += 1
        self._items.append(line)
        self._bytes += len(line)
        if self._bytes >= _CHUNK_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._items:
            self._drafts.file.writelines(self._items)
            self._drafts.chunks.append(self._bytes)
            self._items.clear()
            self._bytes = 0


def _line(number: int, draft: AnnotationDraft) -> bytes:
    """Write the columns of `store_stage.STAGED` as COPY reads them: tabs between, what would end a value escaped."""
    position = b"\\N" if draft.class_id is None else draft.class_id.encode()
    name = b"\\N" if draft.class_name is None else _escaped(draft.class_name.encode())
    image, geometry, attributes = draft.image_id.encode(), bytes(draft.geometry), bytes(draft.attributes)
    return b"%d\t%b\t%b\t%b\t%b\t%b\t%b\t%b\n" % (
        number,
        _escaped(image),
        draft.annotation_type.encode(),
        _escaped(draft.task_type.encode()),
        position,
        name,
        _escaped(geometry),
        _escaped(attributes),
    )


def _escaped(value: bytes) -> bytes:
    value = value.replace(b"\\", b"\\\\")  # first: the others put some in
    return value.replace(b"\n", b"\\n").replace(b"\r", b"\\r").replace(b"\t", b"\\t")


def _draft(shape: Shape, image: PlacedImage, in_file: FileImage, drafts: Drafts) -> AnnotationDraft:
    """Check one annotation as a new one is. Raises BadRequest and Invalid."""
    _check_attributes(shape.attributes)
    task = task_of(shape.annotation_type, attributes_of(shape.attributes))
    geometry = Raw(msgspec.json.encode(_sized(shape, image, in_file)))
    check_geometry(shape.annotation_type, geometry)
    if holds_nul(bytes(geometry)):
        raise AppError("a text holds the character NUL, which cannot be stored")
    return AnnotationDraft(
        image_id=image.id,
        annotation_type=shape.annotation_type,
        task_type=task,
        geometry=geometry,
        attributes=shape.attributes,
        class_id=_class_position(shape, task, drafts),
        class_name=_BACKGROUND if shape.annotation_type == NO_OBJECT else None,
        confidence=None,
        notes=None,
        annotation_state="confirmed",
    )


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


def _sized(shape: Shape, image: PlacedImage, in_file: FileImage) -> dict[str, object]:
    """Add the size of the image, which exports and the frontend read beside the shape."""
    width, height = image.width or in_file.width, image.height or in_file.height
    if shape.annotation_type in {"classification", NO_OBJECT} or not width or not height:
        return shape.geometry
    return {"image_width": width, "image_height": height, **shape.geometry}


def _class_position(shape: Shape, task: str, drafts: Drafts) -> str | None:
    if shape.class_number is None:
        return None
    return str(drafts.classes.setdefault((task, shape.class_number), len(drafts.classes)))


def _check_counts(drafts: Drafts, problems: Problems) -> None:
    for image_id, number in drafts.images.items():
        if number > _MAX_PER_IMAGE:
            problems.add(image_id, f"has {number} annotations; {_MAX_PER_IMAGE} are the most that an image may have")


def _check_classes(classes: Sequence[FileClass], problems: Problems) -> None:
    if len(classes) > MAX_CLASSES:
        problems.add("classes", f"are more than {MAX_CLASSES}")
    for entry in classes:
        if not entry.name.strip() or len(entry.name) > _MAX_CLASS_NAME or any(map(is_unseen, entry.name)):
            problems.add(
                f"class {entry.key[:50]}",
                f"needs a name of 1 to {_MAX_CLASS_NAME} visible characters",
            )
