"""JSON files of any size: judged once as a whole, then read by runs of some KiB; memory stays flat.

While a list is judged, its runs of whole items are noted. So reading them again needs no look for their ends: the
decoder gets a run at once.

Blocking; call it in a thread. The rules are those of every body (`input.json_rules`): a file in which `annotations`
stands twice would lose one half in silence.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from labeler_api.http.input.decoding import from_validation
from labeler_api.http.input.json_pieces import MAX_VALUE_BYTES, Pieces
from labeler_api.http.input.json_rules import Broken, Malformed, Twice
from labeler_api.http.input.sentences import malformed
from labeler_api.imports.readers.items import Unreadable

# COCO's own training set has 860 000 annotations; a million of them take a minute, and their ids 100 MiB.
MAX_ITEMS = 1_000_000
_MAX_WORD_BYTES = 4096  # of a member that is read at once, such as the file's task
_LIST = msgspec.json.Decoder(list[Raw])
_BOM = b"\xef\xbb\xbf"

BAD = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What a decoder raises for a text that is not what it expects; `reason` says it in words."""

T = TypeVar("T", bound=Struct)


class ItemsOf(Generic[T]):
    """Decodes items of one type, a run at a time."""

    def __init__(self, kind: type[T]) -> None:
        self._item = msgspec.json.Decoder(kind)
        self._list: msgspec.json.Decoder[list[T]] = msgspec.json.Decoder(list[kind])  # type: ignore[valid-type]

    def decode(self, run: bytes) -> Sequence[T | Exception]:
        """Decode a list; what is wrong with an item stands in its place."""
        try:
            return self._list.decode(run)
        except BAD:
            return [self._one(raw) for raw in _LIST.decode(run)]

    def _one(self, raw: Raw) -> T | Exception:
        try:
            return self._item.decode(raw)
        except BAD as error:
            return error


class Document:
    """The object that a file holds. Raises Unreadable for what breaks a rule anywhere in it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._places: dict[str, int] = {}
        self._runs: dict[str, list[int]] = {}  # of each list: where its runs of items begin and end
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
                self._look(pieces, name, start)
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
        number = 0
        for run in self._read_runs(name):
            items = _LIST.decode(run)
            number += len(items)
            if number > MAX_ITEMS:
                raise _too_many(name)
            yield from items

    def decoded(self, name: str, kind: ItemsOf[T]) -> Iterator[T | Exception]:
        """Yield the items of a list, decoded; in place of one that the decoder does not take, what it says of it."""
        number = 0
        for run in self._read_runs(name):
            items = kind.decode(run)
            number += len(items)
            if number > MAX_ITEMS:
                raise _too_many(name)
            yield from items

    def _read_runs(self, name: str) -> Iterator[bytes]:
        """Yield the items of a list in lists of those that stand together in a piece."""
        if name not in self._runs:
            for _ in self.opened(name):  # raises what is wrong with what is no list
                raise AssertionError("it is a list")
            return
        places = iter(self._runs[name])
        for start, end in zip(places, places, strict=True):
            if end - start > MAX_VALUE_BYTES:
                raise Unreadable(f"it holds one value of more than {MAX_VALUE_BYTES >> 20} MiB")
            self._file.seek(start)
            yield b"[%b]" % self._file.read(end - start)

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
                    raise _too_many(name)
                yield pieces

    def _look(self, pieces: Pieces, name: str, start: int) -> None:
        """Judge the value of a member; note the runs of a list, and keep a word."""
        first = pieces.next()
        if first == b"[":
            places = self._runs[name] = []
            for _ in pieces.items():
                pieces.next()
                places.append(start + pieces.position)
                pieces.check_items()
                places.append(start + pieces.position)
        elif first == b"{":
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


def _too_many(name: str) -> Unreadable:
    return Unreadable(f"{name} has more than {MAX_ITEMS} items; split the file")


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
