"""What a YOLO archive says of itself: a data.yaml with `names` (a list, or numbers to names), or a list of classes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from labeler_api.imports.readers.items import MAX_CLASSES, FileClass, Unreadable
from labeler_api.imports.readers.yolo_numbers import whole
from labeler_api.text.names import quoted
from labeler_api.versions.formats.yolo import LAYOUT

MAX_BYTES = 1024 * 1024  # 10 000 names of a hundred letters
_HAS_TO_BE = "has to be a list of names, such as [cat, dog], or numbers with names, such as {0: cat, 1: dog}"


_MAX_POINTS = 1000
_NUMBERS_OF_A_POINT = (2, 3)  # x and y; and whether it is seen


@dataclass(frozen=True, slots=True)
class Description:
    """A data.yaml, every value a text."""

    values: dict[Any, Any]

    @property
    def points(self) -> tuple[int, int] | None:
        """`kpt_shape`: how many key points follow each box, and how many numbers each has. Raises Unreadable."""
        shape = self.values.get("kpt_shape")
        if shape in (None, "", "null", "~", []):
            return None
        if isinstance(shape, str):
            shape = shape.strip("[]() ").split(",")
        numbers = [whole(word.strip()) for word in shape if isinstance(word, str)] if isinstance(shape, list) else []
        if len(numbers) == len(_NUMBERS_OF_A_POINT) and None not in numbers:
            points, each = (int(str(number)) for number in numbers)
            if points == 0:
                return None
            if 0 < points <= _MAX_POINTS and each in _NUMBERS_OF_A_POINT:
                return points, each
        raise Unreadable(f"kpt_shape in data.yaml is {quoted(str(shape))}; it has to be like [17, 3]")

    @property
    def lists(self) -> Iterator[str]:
        """The files that it says to hold lists of images, among others."""
        for name in ("train", "val", "valid", "test"):
            value = self.values.get(name)
            yield from (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str))

    @property
    def is_ours(self) -> bool:
        """Whether an export of ours says so: its images lie in `images/` under their paths."""
        return self.values.get("layout") == LAYOUT

    @property
    def classes(self) -> list[FileClass]:
        """The classes. Raises Unreadable."""
        names = self.values.get("names")
        if isinstance(names, list):
            names = {str(number): name for number, name in enumerate(names)}
        if not isinstance(names, dict) or not names:
            raise Unreadable(f'data.yaml has no names of classes: "names" {_HAS_TO_BE}')
        return _classes(names)


def described(content: bytes) -> Description:
    """Read a data.yaml. Raises Unreadable.

    With the loader that makes texts of everything: a class called `no` or `1` keeps its name, aliases are not
    multiplied out, and nothing is constructed.
    """
    try:
        document = yaml.load(content, Loader=yaml.BaseLoader)  # noqa: S506 - texts, lists and dictionaries only
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"data.yaml is not valid YAML{_where(error)}") from None
    return Description(document if isinstance(document, dict) else {})


def lists_of_darknet(content: bytes) -> list[str]:
    """Return what an obj.data names: `train = data/train.txt`."""
    lines = content.decode("utf-8", "replace").splitlines()
    return [line.partition("=")[2] for line in lines if "=" in line]


def _where(error: Exception) -> str:
    """Say where a text stops to be YAML. What the library says of it are words for its own developers."""
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    return f"; look at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""


def from_lines(content: bytes, name: str) -> list[FileClass]:
    """Read a classes.txt: a name a line. Raises Unreadable."""
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise Unreadable(f"{name} is not UTF-8") from None
    while lines and not lines[-1].strip():
        lines.pop()
    return _classes({str(number): line.strip() or str(number) for number, line in enumerate(lines)})


def _classes(names: dict[object, object]) -> list[FileClass]:
    if len(names) > MAX_CLASSES:
        raise Unreadable(f"there are more than {MAX_CLASSES} classes")
    found: dict[str, FileClass] = {}
    for number, name in names.items():
        key = whole(number) if isinstance(number, str) else None
        if key is None or key.startswith("-") or not isinstance(name, str):
            raise Unreadable(f'"names" in data.yaml {_HAS_TO_BE}')
        if key in found:
            raise Unreadable(f'"names" in data.yaml has the number {key} twice')
        found[key] = FileClass(key, name)
    return list(found.values())
