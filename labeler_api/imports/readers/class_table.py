"""The classes that a file lists, found by their key there."""

from collections.abc import Iterable

import msgspec
from msgspec import Raw, Struct

from labeler_api.imports.readers.items import MAX_CLASSES, FileClass, Problems
from labeler_api.imports.strict_json import reason

Key = int | str


class _Listed(Struct):
    """A category of COCO and a class of DICE: the same members."""

    id: Key
    name: str | None = None
    supercategory: str | None = None
    color: str | None = None


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
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                problems.add(f"{what}[{number}]", reason(error))
                continue
            key = str(listed.id)
            if key in self._numbers:
                problems.add(f"{what}[{number}].id", f"{key} is the id of another one, too")
            self._add(FileClass(key, listed.name or key, listed.color, listed.supercategory))

    def number(self, key: Key, name: str | None = None) -> int | None:
        """Return the position of a class; None where the file lists classes, and this one not among them."""
        number = self._numbers.get(str(key))
        if number is None and self._open and len(self.classes) > MAX_CLASSES:  # told when they are counted
            return MAX_CLASSES
        if number is None and self._open:
            number = self._add(FileClass(str(key), name or str(key)))
        return number

    def _add(self, entry: FileClass) -> int:
        self._numbers[entry.key] = len(self.classes)
        self.classes.append(entry)
        return len(self.classes) - 1
