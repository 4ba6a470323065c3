"""JSON files of any size: judged once as a whole, then read item by item; memory stays flat.

Blocking; call it in a thread. The rules are those of every body (`http.json_rules`): a file in which `annotations`
stands twice would lose one half in silence.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import msgspec
from msgspec import Raw

from labeler_api.http.decoding import from_validation
from labeler_api.http.json_pieces import Pieces
from labeler_api.http.json_rules import Broken, Malformed, Twice
from labeler_api.http.sentences import malformed
from labeler_api.imports.readers.items import Unreadable

# COCO's own training set has 860 000 annotations; a million of them take a minute, and their ids 100 MiB.
MAX_ITEMS = 1_000_000
_MAX_WORD_BYTES = 4096  # of a member that is read at once, such as the file's task
_LIST = msgspec.json.Decoder(list[Raw])
_BOM = b"\xef\xbb\xbf"


class Document:
    """The object that a file holds. Raises Unreadable for what breaks a rule anywhere in it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._places: dict[str, int] = {}
        self._words: dict[str, bytes] = {}
        file.seek(0)
        start = len(_BOM) if file.read(len(_BOM)) == _BOM else 0
        pieces = self._pieces(start, judged=False)
        with _unreadable():
            if pieces.next() != b"{":
                raise Unreadable("the file is empty" if not pieces.next() else "the file is no JSON object")
            for name in pieces.members():
                pieces.next()
                self._places[name] = start + pieces.position
                self._look(pieces, name)
            pieces.end()

    def __contains__(self, name: str) -> bool:
        """Whether the object has a member of this name."""
        return name in self._places

    def word(self, name: str) -> Raw | None:
        """Return a short member that is no list and no object, undecoded; None where there is none."""
        word = self._words.get(name)
        return Raw(word) if word is not None else None

    def items(self, name: str) -> Iterator[Raw]:
        """Yield the items of a list among the members, undecoded; none where the member is missing or null."""
        with _unreadable():
            for pieces in self.opened(name):
                yield Raw(pieces.value())

    def opened(self, name: str) -> Iterator[Pieces]:
        """Yield the text once for each item of a list, in front of the item, which has to be taken from it."""
        if name not in self._places or self._words.get(name) == b"null":
            return
        pieces = self._pieces(self._places[name], judged=True)
        with _unreadable():
            if pieces.next() != b"[":
                raise Unreadable(f"{name} {_no_list(pieces.value())}")
            for number in pieces.items():
                if number >= MAX_ITEMS:
                    raise Unreadable(f"{name} has more than {MAX_ITEMS} items; split the file")
                yield pieces

    def _look(self, pieces: Pieces, name: str) -> None:
        """Judge the value of a member, and keep it if it is a word."""
        if pieces.next() in b"[{":
            pieces.check()
        elif len(value := pieces.value()) <= _MAX_WORD_BYTES:
            self._words[name] = value

    def _pieces(self, place: int, *, judged: bool) -> Pieces:
        """Read from a place on, whoever else reads the file meanwhile."""
        at = place

        def read(size: int) -> bytes:
            nonlocal at
            self._file.seek(at)
            chunk = self._file.read(size)
            at += len(chunk)
            return chunk

        return Pieces(read, lenient=True, judged=judged)


def reason(error: Exception) -> str:
    """Say in words what a decoder did not like."""
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "is not UTF-8"
    if not isinstance(error, msgspec.ValidationError):
        return f"is not valid JSON: {malformed(error)}"
    found: Any = from_validation(error, "").extra["errors"]
    place = ".".join(str(step) for step in found[0]["loc"] if step not in {"", "..."})
    return f"{place}: {found[0]['message']}" if place else str(found[0]["message"])


def _no_list(value: bytes) -> str:
    try:
        _LIST.decode(value)
    except msgspec.ValidationError as error:
        return reason(error)
    raise AssertionError("it is a list")


@contextmanager
def _unreadable() -> Iterator[None]:
    try:
        yield
    except Twice as error:
        raise Unreadable(f'the name "{error.name[:100]}" stands twice at one place') from None
    except Malformed as error:
        raise Unreadable(f"the file {error}"[:300]) from None
    except Broken as error:
        raise Unreadable(f"it {error}") from None
