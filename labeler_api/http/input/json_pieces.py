"""JSON of any size, judged and read in pieces of some KiB: memory stays flat, and no step takes long.

The decoders and the rules see one piece after the other, and each is a whole value or a run of whole items. A value
that is longer than a piece is opened, and what is in it is looked at in the same way. So the only grammar here is that
of brackets, commas and colons around long values.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator

import msgspec

from labeler_api.http.input.json_rules import (
    MAX_DEPTH,
    SHORT_BYTES,
    Broken,
    Malformed,
    Twice,
    is_json,
    judge,
    too_deep_error,
)
from labeler_api.text.names import quoted

# Of one value that is handed out whole, or of one text. A polygon of 10 000 points takes a tenth of it.
MAX_VALUE_BYTES = 4 * 1024 * 1024
# Of all objects that are open at one place: each is kept until its object ends.
_MAX_OPEN_NAMES = 20_000
_MAX_NAME_BYTES = 1024
_GUESSES = 16  # of where a run of objects ends: one of those that stand within others
_PAUSE_SECONDS = 0.000_05  # a zero would let this thread win the lock again at once
_READ_BYTES = 256 * 1024
# Of all threads that judge, one at a time does: the event loop competes for the interpreter's lock with one of them
# only. Held for a piece, so a short text is not behind a long one.
_ALONE = threading.Lock()

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_SCALAR = rb'[^"\[\]{},:\s]++'
_FLAT = rb'[\[{][^"\[\]{}]*+[\]}]'  # a list of numbers, such as a point, or an empty object
_A_SPACE = re.compile(rb"[ \t\r\n]*+")
_A_STRING = re.compile(_STRING, re.DOTALL)
_A_SCALAR = re.compile(_SCALAR)
_AN_OBJECT_COMES = re.compile(rb"\s*+,\s*+\{")
_A_COMMA = re.compile(rb"\s*+,\s*+")
_A_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|' + _STRING + rb"|" + _FLAT + rb")*+([\[\]{}])", re.DOTALL)
_ITEMS = re.compile(rb"(?:(?:" + _STRING + rb"|" + _SCALAR + rb"|" + _FLAT + rb")\s*+,\s*+)++", re.DOTALL)
_NAME = msgspec.json.Decoder(str)


class Pieces:
    """A JSON text, from the front to the back. Every method raises Broken for what breaks a rule.

    `members()` and `items()` open what comes next; the caller takes each value by `value()`, `check()`,
    `members()` or `items()` before going on.
    """

    def __init__(
        self, read: Callable[[int], bytes], *, depth: int = 0, lenient: bool = False, judged: bool = False
    ) -> None:
        self._read = read
        self._lenient = lenient
        self._judged = judged  # whether all of it was judged before
        self._before = 0  # bytes in front of the text at hand
        self._depth = depth
        self._text = b""
        self._at = 0
        self._ended = False
        self._open_names = 0
        # Where values begin that are known to be longer than a piece, behind the last that was looked at. Without them
        # each level of lists in lists would read the same bytes again.
        self._long: frozenset[int] = frozenset()

    def next(self) -> bytes:
        """Return the first byte of what comes next, and stay in front of it; empty at the end of the text."""
        while True:
            found = _A_SPACE.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._have(1)

    @property
    def position(self) -> int:
        """How many bytes were passed."""
        return self._before + self._at

    def end(self) -> None:
        """Make sure that nothing comes any more."""
        if self.next():
            raise Malformed("is not valid JSON: something stands behind its end")

    def value(self) -> bytes:
        """Take a value whole, judged. Raises Broken, too, when it is over MAX_VALUE_BYTES."""
        piece = self._whole(SHORT_BYTES) or self._whole(MAX_VALUE_BYTES)
        if piece is None:
            raise self._endless()
        self._judge(piece)
        return piece

    def short(self) -> bytes | None:
        """Take a value whole, judged, if it is no longer than a piece."""
        if (piece := self._whole(SHORT_BYTES)) is not None:
            self._judge(piece)
        return piece

    def check(self) -> None:
        """Pass over a value of any size, and judge all of it."""
        if self.short() is not None:
            return
        if self.next() == b"[":
            for _ in self.items():
                self.check_items()
        elif self.next() == b"{":
            for _ in self.members():
                self.check()
        else:  # a long text
            self.value()

    def items(self) -> Iterator[int]:
        """Open a list, and yield the number of each item when it comes next."""
        self._open(b"[")
        number = 0
        if self.next() == b"]":
            return self._close()
        while True:
            yield number
            number += 1
            if self._separator(b"]"):
                return self._close()

    def members(self) -> Iterator[str]:
        """Open an object, and yield the name of each member when its value comes next."""
        self._open(b"{")
        names: set[str] = set()
        if self.next() != b"}":
            while True:
                yield self._name(names)
                if self._separator(b"}"):
                    break
        self._open_names -= len(names)
        self._close()

    def check_items(self) -> None:
        """Pass over as many items of a list as a piece holds, one at least, up to a comma or the end of the list."""
        self.next()
        self._have(SHORT_BYTES)
        end = self._end_of_objects() or self._end_of_items()
        if end is None:
            self.check()
            return
        if not self._judged:
            _judge_alone(b"[" + self._text[self._at : end] + b"]", self._depth - 1, lenient=self._lenient)
        self._at = end

    def _end_of_objects(self) -> int | None:
        """Guess from the back of a piece where a run of objects ends; None unless what stands before is whole."""
        text, start = self._text, self._at
        if text[start : start + 1] != b"{":
            return None
        end = start + SHORT_BYTES
        for _ in range(_GUESSES):
            end = text.rfind(b"}", start, end)
            if end < 0:
                return None
            if _AN_OBJECT_COMES.match(text, end + 1):
                return end + 1 if is_json(b"[" + text[start : end + 1] + b"]") else None
        return None

    def _end_of_items(self) -> int | None:
        """Find where a run of items ends, one by one; None where the first is longer than a piece."""
        text, start = self._text, self._at
        at, end, stop = start, start, start + SHORT_BYTES
        while at < stop:
            if run := _ITEMS.match(text, at, stop):
                at = run.end()
                end = text.rindex(b",", end, at)
            found = self._end(at, stop)
            if found is None:
                break
            end = found
            comma = _A_COMMA.match(text, end, stop)
            if comma is None:
                break
            at = comma.end()
        return end if end > start else None

    def _judge(self, piece: bytes) -> None:
        if self._judged:
            return
        if len(piece) > SHORT_BYTES and piece[:1] in (b"[", b"{"):
            Pieces(_Reader(piece).read, depth=self._depth, lenient=self._lenient).check()
        else:
            _judge_alone(piece, self._depth, lenient=self._lenient)

    def _whole(self, limit: int) -> bytes | None:
        """Take the value that comes next if it has at most `limit` bytes."""
        if not self.next():
            raise Malformed("is not valid JSON: it is cut off")
        self._have(limit + 1)
        end = self._end(self._at, self._at + limit)
        if end is None:
            return None
        piece = self._text[self._at : end]
        self._at = end
        return piece

    def _end(self, at: int, stop: int) -> int | None:
        """Where the value at a place ends; None if that is not before `stop`."""
        text, stop = self._text, min(stop, len(self._text))
        if at >= stop:
            return None
        first = text[at : at + 1]
        if first == b'"':
            found = _A_STRING.match(text, at, stop)
            return found.end() if found else None
        if first not in (b"[", b"{"):
            found = _A_SCALAR.match(text, at, stop)
            if found is None:
                raise Malformed(f"is not valid JSON: {quoted(first.decode('latin-1'))} is not allowed where it stands")
            at = found.end()
            return at if at < stop or (at == len(text) and self._ended) else None
        if stop - at <= SHORT_BYTES and self._before + at in self._long:
            return None
        opened, at = [at], at + 1
        while opened:
            bracket = _A_BRACKET.match(text, at, stop)
            if bracket is None:
                self._note_long(opened, stop)
                return None
            at = bracket.end()
            if bracket[1] in b"[{":
                opened.append(at - 1)
            else:
                opened.pop()
        return at

    def _note_long(self, opened: list[int], stop: int) -> None:
        """Remember brackets that were not closed before `stop`, but for those that had little time to."""
        self._long = frozenset(self._before + at for at in opened[: MAX_DEPTH + 1] if stop - at >= SHORT_BYTES // 2)

    def _endless(self) -> Broken:
        if self._ended and len(self._text) - self._at <= MAX_VALUE_BYTES:
            return Malformed("is not valid JSON: it is cut off")
        return Broken(f"holds one value of more than {MAX_VALUE_BYTES >> 20} MiB")

    def _open(self, bracket: bytes) -> None:
        if self.next() != bracket:
            raise Malformed(f"is not valid JSON: {bracket.decode()} is missing")
        self._at += 1
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise too_deep_error()

    def _close(self) -> None:
        self._at += 1
        self._depth -= 1

    def _separator(self, closing: bytes) -> bool:
        """Pass a comma, or say that the closing bracket comes."""
        found = self.next()
        if found == b",":
            self._at += 1
            return False
        if found != closing:
            raise Malformed("is not valid JSON: " + ("a comma is missing" if found else "it is cut off"))
        return True

    def _name(self, names: set[str]) -> str:
        self.next()
        self._have(_MAX_NAME_BYTES)
        found = _A_STRING.match(self._text, self._at, self._at + _MAX_NAME_BYTES)
        if found is None:
            raise Malformed("is not valid JSON: a name is missing, or is too long")
        judge(found[0], self._depth)
        name = _NAME.decode(found[0])
        if name in names:
            raise Twice(name)
        names.add(name)
        self._open_names += 1
        if self._open_names > _MAX_OPEN_NAMES:
            raise Broken(f"has more than {_MAX_OPEN_NAMES} names at one place")
        self._at = found.end()
        if self.next() != b":":
            raise Malformed("is not valid JSON: a colon is missing")
        self._at += 1
        return name

    def _have(self, size: int) -> None:
        """Read until this many bytes are at hand, or all that are left."""
        left = len(self._text) - self._at
        if left >= size or self._ended:
            return
        self._before += self._at
        parts = [self._text[self._at :]]
        while left < size and not self._ended:
            chunk = self._read(max(_READ_BYTES, size - left))
            self._ended = not chunk
            left += len(chunk)
            parts.append(chunk)
        self._text, self._at = b"".join(parts), 0


def _judge_alone(piece: bytes, depth: int, *, lenient: bool) -> None:
    """Judge a piece, and after a long one give the interpreter's lock away: others wait for it, or for their piece."""
    with _ALONE:
        judge(piece, depth, lenient=lenient)
    if len(piece) >= SHORT_BYTES // 4:
        time.sleep(_PAUSE_SECONDS)


class _Reader:
    """Hands out bytes as a file does."""

    def __init__(self, content: bytes) -> None:
        self._content: memoryview = memoryview(content)

    def read(self, size: int) -> bytes:
        chunk, self._content = self._content[:size], self._content[size:]
        return bytes(chunk)


def check_all(text: bytes) -> None:
    """Raise Broken unless a text of any size is one JSON value that keeps the rules."""
    pieces = Pieces(_Reader(text).read)
    pieces.check()
    pieces.end()
