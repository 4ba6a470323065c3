"""The classes that a file lists, found by their key there; and ids, names and colours as tools spell them."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from labeler_api.imports.readers.items import MAX_CLASSES, FileClass, Problems
from labeler_api.imports.readers.outlines import MalformedShape
from labeler_api.imports.readers.strict_json import reason

Key = int | float | str

_WHOLE_AS_FRACTION = re.compile(r"(-?\d+)\.0+", re.ASCII)  # pandas makes that of a column with gaps
_CHANNELS = 3
_BRIGHTEST = 255


class _Listed(Struct):
    """A category of COCO and a class of DICE: the same members. What is not needed may be of any type."""

    id: Key
    name: Any = None
    supercategory: Any = None
    color: Any = None


_DECODER = msgspec.json.Decoder(_Listed)


class ClassTable:
    """Classes by key. A file that lists none defines them by using them."""

    def __init__(self, raws: Iterable[Raw], what: str, problems: Problems) -> None:
        self.classes: list[FileClass] = []
        self._numbers: dict[str, int] = {}
        self._open = True
        for number, raw in enumerate(raws):
            self._open = False
            if len(self.classes) > MAX_CLASSES:  # told when they are counted
                break
            try:
                listed = _DECODER.decode(raw)
                key = meant(listed.id)
                name = _name(listed.name)
            except MalformedShape as error:
                problems.add(f"{what}[{number}]", str(error))
                continue
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                problems.add(f"{what}[{number}]", reason(error))
                continue
            if key in self._numbers:
                problems.add(f"{what}[{number}].id", f"{key} is the id of another one, too", is_fatal=True)
            supercategory = listed.supercategory if isinstance(listed.supercategory, str) else None
            self._add(FileClass(key, name or key, _color(listed.color), supercategory))

    def number(self, key: Key, name: str | None = None) -> int | None:
        """Return the position of a class; None where the file lists classes, and this one not among them.

        Raises Malformed where the key is none.
        """
        key = meant(key)
        number = self._numbers.get(key)
        if number is None and self._open and len(self.classes) > MAX_CLASSES:  # told when they are counted
            return MAX_CLASSES
        if number is None and self._open:
            number = self._add(FileClass(key, name or key))
        return number

    def _add(self, entry: FileClass) -> int:
        self._numbers[entry.key] = len(self.classes)
        self.classes.append(entry)
        return len(self.classes) - 1


def meant(key: Key) -> str:
    """Spell an id by what it means: 1, 1.0 and "1" are one. Raises Malformed."""
    if isinstance(key, str):
        whole = _WHOLE_AS_FRACTION.fullmatch(key)
        return whole[1] if whole else key
    if isinstance(key, float):
        if not key.is_integer():
            raise MalformedShape(f"{key:g} is no id; an id is a whole number or a text")
        key = int(key)
    return str(key)


def _name(value: Any) -> str | None:
    """Read the name of a class: a text, or a number, as sets of digits have it. Raises Malformed."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedShape("its name has to be a text")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _color(value: Any) -> str | None:
    """Read a colour: a text, or red, green and blue; None for what is neither."""
    if isinstance(value, str):
        return value
    channels = value[:_CHANNELS] if isinstance(value, list) else []
    if len(channels) < _CHANNELS or not all(type(one) is int and 0 <= one <= _BRIGHTEST for one in channels):
        return None
    return "#" + "".join(f"{one:02X}" for one in channels)


def pixels(value: Any) -> int | None:
    """Read the size of an image, which other tools write as 640.0 or "640"; None for what is none."""
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None  # noqa: PLR2004
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:  # noqa: PLR2004
        return None
    return int(value) if int(value) == value else None
