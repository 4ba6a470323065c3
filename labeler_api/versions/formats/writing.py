"""Pieces of one large indented JSON document, so that it never stands in memory whole.

The pieces add up to what `json.dumps(value, indent=2, ensure_ascii=False)` would have given.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

_STEP = b"  "


def opening(members: Mapping[str, Any], depth: int = 0) -> bytes:
    """Begin an object with these members; at least one. More may follow."""
    return pretty(members, depth).removesuffix(b"\n" + _STEP * depth + b"}")


def closing(depth: int = 0) -> bytes:
    """End an object."""
    return b"\n" + _STEP * depth + b"}"


def members(values: Mapping[str, Any], depth: int = 0) -> bytes:
    """Go on in an object with further members; at least one."""
    return b"," + opening(values, depth).removeprefix(b"{")


class Array:
    """A member of an object at `depth` whose items come one by one: `begin`, `item` …, `end`."""

    def __init__(self, name: str, depth: int = 0) -> None:
        self._depth = depth + 1
        self._name = msgspec.json.encode(name)
        self._empty = True

    def begin(self) -> bytes:
        """Begin the member, which is not the first of its object."""
        return b",\n" + _STEP * self._depth + self._name + b": ["

    def item(self, value: Mapping[str, Any]) -> bytes:
        """Add an item whole."""
        return self.next() + pretty(value, self._depth + 1)

    def next(self) -> bytes:
        """Return what stands before the next item."""
        separator = b"\n" if self._empty else b",\n"
        self._empty = False
        return separator + _STEP * (self._depth + 1)

    def end(self) -> bytes:
        """End the member."""
        return b"]" if self._empty else b"\n" + _STEP * self._depth + b"]"


def pretty(value: object, depth: int) -> bytes:
    """Encode a value as it looks `depth` steps deep. A line break inside a text is escaped, so none is touched."""
    plain = msgspec.json.format(msgspec.json.encode(value), indent=len(_STEP))
    return plain.replace(b"\n", b"\n" + _STEP * depth) if depth else plain
