"""The classes of a task, numbered the same way for every file of a version."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

_UNKNOWN = "unknown"
_COLOR = "#000000"
_SUPERCATEGORY = "object"


class ListedClass(msgspec.Struct, frozen=True):
    """A class as the files tell it."""

    class_id: str | None
    name: str
    color: str
    supercategory: str


class ClassList:
    """Classes by their number, which begins at 0.

    First those of the task, by (order, id); then those that annotations name though the task does not list them
    (any more), by id; last, where there are annotations without a class, one named "unknown". So every annotation has
    a number of its own class, and never that of another.
    """

    def __init__(self, listed: Mapping[str, Mapping[str, Any]], used: Iterable[tuple[str | None, str | None]]) -> None:
        ids = sorted(listed, key=lambda class_id: (_order(listed[class_id]), class_id))
        self.classes = [_listed(class_id, listed[class_id]) for class_id in ids]
        unlisted = {class_id: name for class_id, name in used if class_id not in listed}
        for class_id in sorted(unlisted, key=lambda value: (value is None, value or "")):
            name = unlisted[class_id] or class_id or _UNKNOWN
            self.classes.append(ListedClass(class_id, name, _COLOR, _SUPERCATEGORY))
        self._numbers = {entry.class_id: number for number, entry in enumerate(self.classes)}

    def number(self, class_id: str | None) -> int:
        """Return the number of a class that was listed or named as used."""
        return self._numbers[class_id]

    def name(self, class_id: str | None) -> str:
        """Return its name."""
        return self.classes[self._numbers[class_id]].name


def _order(info: Mapping[str, Any]) -> float:
    order = info.get("order")  # very old rows have none
    return order if isinstance(order, int | float) else 0


def _listed(class_id: str, info: Mapping[str, Any]) -> ListedClass:
    return ListedClass(
        class_id,
        str(info.get("name") or class_id),
        str(info.get("color") or _COLOR),
        str(info.get("supercategory") or _SUPERCATEGORY),
    )
