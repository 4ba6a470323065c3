"""The classes of a file among those that a task has already.

A class is the same when its id and its name are, or when its name is; where one of the two files or projects gives
two classes one name, each is taken once. An equal id under another name is another class: numbers from 1 mean
something else in every file. What is missing is added behind the others, under its id in the file if that is free.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labeler_api.imports.readers.items import FileClass

StoredClasses = dict[str, dict[str, Any]]

_COLOR = re.compile(r"#[0-9A-Fa-f]{6}")
# Told apart well on photographs, and by most people who do not see all colours (Okabe and Ito, 2008), and their
# darker neighbours; used in turn.
_PALETTE = (
    "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
    "#A66F00", "#1F7FB4", "#006B4E", "#B0A31A", "#004C77", "#983F00", "#994F7D",
)  # fmt: skip
_ID = re.compile(r"[A-Za-z0-9_-]{1,50}")  # what a path takes as it is, in the width of the column
_DEFAULT_SUPERCATEGORY = "object"  # what exports write where there is none


@dataclass(slots=True)
class Merged:
    """The task's classes afterwards; `ids` beside the file's classes; and what was added, id by id."""

    classes: StoredClasses
    ids: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    last_order: int = -1

    def with_added(self, stored: Mapping[str, Mapping[str, Any]]) -> StoredClasses:
        """Put what was added behind the classes that the task has now."""
        classes = {class_id: dict(info) for class_id, info in stored.items()}
        behind = max((_order(info) for info in stored.values()), default=-1) + 1
        missing = [class_id for class_id in self.added if class_id not in classes]
        for place, class_id in enumerate(missing):
            classes[class_id] = {**self.classes[class_id], "order": behind + place}
        return classes


def still_fits(stored: Mapping[str, Mapping[str, Any]], merged: Merged) -> bool:
    """Whether the classes that a file was given still mean the same. Who added one meanwhile is all the same."""
    names = {info.get("name") for info in stored.values()}
    added = set(merged.added)
    for class_id in set(merged.ids):
        name = merged.classes[class_id].get("name")
        if class_id in stored:
            if stored[class_id].get("name") != name:
                return False
        elif class_id not in added or name in names:
            return False
    return True


def merge(stored: Mapping[str, Mapping[str, Any]], wanted: Sequence[FileClass]) -> Merged:
    """Find each class of a file in a task, or add it."""
    merged = Merged({class_id: dict(info) for class_id, info in stored.items()})
    merged.last_order = max((_order(info) for info in stored.values()), default=-1)
    found: dict[int, str] = {
        number: entry.key
        for number, entry in enumerate(wanted)
        if entry.key in stored and stored[entry.key].get("name") == entry.name
    }
    free = _by_name(stored, taken=set(found.values()))
    for number, entry in enumerate(wanted):
        if number not in found and free.get(entry.name):
            found[number] = free[entry.name].pop(0)
    for number, entry in enumerate(wanted):
        merged.ids.append(found[number] if number in found else _add(merged, entry))
    return merged


def _by_name(stored: Mapping[str, Mapping[str, Any]], taken: set[str]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for class_id in sorted(stored, key=lambda one: (_order(stored[one]), one)):
        if class_id not in taken:
            names.setdefault(str(stored[class_id].get("name")), []).append(class_id)
    return names


def _add(merged: Merged, entry: FileClass) -> str:
    class_id = entry.key if _ID.fullmatch(entry.key) else ""
    while not class_id or class_id in merged.classes:
        class_id = secrets.token_hex(4)
    order = merged.last_order = merged.last_order + 1
    color = entry.color if entry.color and _COLOR.fullmatch(entry.color) else _PALETTE[order % len(_PALETTE)]
    info = {"name": entry.name, "color": color, "description": None, "order": order}
    if entry.supercategory and entry.supercategory != _DEFAULT_SUPERCATEGORY:
        info["supercategory"] = entry.supercategory
    merged.classes[class_id] = info
    merged.added.append(class_id)
    return class_id


def _order(info: Mapping[str, Any]) -> int:
    order = info.get("order")  # very old rows have none
    return order if isinstance(order, int) else 0
