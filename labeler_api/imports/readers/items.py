"""What every reader makes of a file, whatever its format: names of images, classes, and shapes one after the other."""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec import Raw, Struct

from labeler_api.images.upload.schemas import ImportFormatName, Problem

MAX_CLASSES = 10_000  # as many as a reorder of classes may name


# Of images about which a file says something; and of their names together, which are compared with the dataset's.
_MAX_IMAGES = 200_000


_MAX_NAMES_CHARACTERS = 32 * 1024**2


_KEPT_PROBLEMS = 100  # what a person reads; the count goes on


NO_ATTRIBUTES = Raw(b"{}")


class Outline(Struct, tag_field="type", gc=False):
    """A geometry that was made of numbers: it has the members of its type, and no others."""


Geometry = dict[str, Any] | Outline


class Unreadable(Exception):
    """The file as a whole cannot be read; the text says why."""


@dataclass(slots=True)
class Problems:
    """Everything that is wrong with a file: the first hundred in words, all of them counted.

    `is_fatal`: nobody can tell what the rest of the file means, so that nothing of it can be taken without this.
    """

    first: list[Problem] = field(default_factory=list)
    count: int = 0
    is_fatal: bool = False

    def add(self, place: str, message: str, *, is_fatal: bool = False) -> None:
        """Note a problem."""
        self.count += 1
        self.is_fatal = self.is_fatal or is_fatal
        if len(self.first) < _KEPT_PROBLEMS:
            self.first.append(Problem(place[:300], message[:500]))

    def drop(self, places: Set[str]) -> None:
        """Take back what was noted, once, about each of these places."""
        self.first = [one for one in self.first if one.place not in places]
        self.count -= len(places)

    def include(self, others: "Problems") -> None:
        """Note what others have."""
        self.first += others.first[: _KEPT_PROBLEMS - len(self.first)]
        self.count += others.count
        self.is_fatal = self.is_fatal or others.is_fatal


class FileImage(Struct, frozen=True, gc=False):
    """An image as the file names it, and the size in pixels that the file gives it, if any.

    `paired` are names that go before `name`, the surest first: those under which the format's own readers look.
    """

    place: str
    name: str
    width: int | None = None
    height: int | None = None
    has_extension: bool = True
    paired: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileClass:
    """A class as the file has it; `key` is its id or number there."""

    key: str
    name: str
    color: str | None = None
    supercategory: str | None = None


class ImageList(list[FileImage]):
    """The images of a file, as many as memory has room for."""

    def __init__(self) -> None:
        super().__init__()
        self._characters = 0

    def append(self, image: FileImage) -> None:
        """Add an image. Raises Unreadable when there are too many, or their names too long."""
        self._characters += len(image.name)
        if len(self) >= _MAX_IMAGES or self._characters > _MAX_NAMES_CHARACTERS:
            raise Unreadable(
                f"it is about more than {_MAX_IMAGES} images, or their names have more than "
                f"{_MAX_NAMES_CHARACTERS} characters together; split it"
            )
        super().append(image)


class PlacedImage(Struct, frozen=True, gc=False):
    """The image of the dataset that a file means; sizes in pixels as displayed, None where nobody knows them.

    `orientation` is that of EXIF, by which it is turned when it is displayed.
    """

    id: str
    width: int | None
    height: int | None
    orientation: int | None = None


class Shape(Struct, frozen=True, gc=False):
    """One annotation. `image` and `class_number` are positions in the reader's lists; no class for `no_object`.

    `geometry` as the file has it, or what `outlines` has made of the file's numbers.
    """

    place: str
    image: int
    annotation_type: str
    geometry: Geometry
    class_number: int | None
    attributes: Raw = NO_ATTRIBUTES


class Reader(Protocol):
    """A file of one format, opened. Problems go into the `Problems` that it was opened with."""

    format: ImportFormatName
    images: list[FileImage]  # those that have annotations
    classes: list[FileClass]  # grows while the shapes are read, where a file does not list what it uses
    warnings: list[str]  # complete when the shapes are

    def is_about_an_image(self, number: int) -> bool:
        """Whether an image that the dataset does not have is one at all, and no text that lies among the labels."""
        ...

    def shapes(self, images: Sequence[PlacedImage | None]) -> Iterator[Shape]:
        """Yield every annotation; `images` are those of the dataset, beside `self.images`, None where there is none."""
        ...
