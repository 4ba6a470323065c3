"""What JSON may not hold although a decoder would take it: equal names, too much depth, NUL, absurd numbers.

Equal names in one object are refused, because the last would win in silence and proxies may judge by the first. A body
and a file of annotations are judged by the same rules; what is longer than SHORT_BYTES goes through `json_pieces`.
"""

import json
import math
import re
from decimal import Decimal
from itertools import groupby
from typing import Any

import msgspec

from labeler_api.http.input.sentences import malformed
from labeler_api.text.names import quoted

# The deepest body that anybody sends has 8 levels (a batch of polygons, free attributes aside).
MAX_DEPTH = 32
# What is judged in one go, without letting anybody else run: the worst of it takes some three milliseconds.
SHORT_BYTES = 16 * 1024
# A double has 17 digits, and all that are exactly in a short one some 60.
_MAX_NUMBER_CHARACTERS = 100
# Doubles end at 1.8e308 and 4.9e-324. PostgreSQL writes every digit of what it stores: 1e-16383 as 16 KB.
_MAX_EXPONENT = 324
_EXPONENT = re.compile(rb"\d[eE]([+-]?\d{1,4})")
_WHOLE_BELOW = 2**63  # what a typed member can take at most

_ESCAPED_PAIR = re.compile(rb"\\.", re.DOTALL)
_PLACE = re.compile(r" \(byte \d+\)")  # in the piece, which nobody knows
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_CURIOUS = re.compile(rb"[\d.]{60}|[eE][+-]?\d{3}")  # a number that may be absurd
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
# What needs no look on the way to a number with a point or an exponent. Possessive, so linear in text of any kind; so
# many at most, since nobody else runs during a match.
_BEFORE_A_FRACTION = re.compile(rb'(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^"\d]++|\d++(?![.eE])){1,1000}+', re.DOTALL)
_NUMBER = re.compile(rb"\d++(?:\.\d++)?+(?:[eE][+-]?+\d++)?+")
_WHOLE = re.compile(rb"\d+(?:\.\d*)?(?:[eE]\+?\d{1,2})?")
_LONGEST_WHOLE = 40  # 19 digits, and as many zeros behind the point
_EXACT = 15  # so many digits are the same number as a double, and the double is cheaper to look at
# A text, maybe the name of a member; or a number that Python's json and pandas write and JSON does not know.
_ODD_NUMBER = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"(\s*+:)?+|(-?\b(?:NaN|nan|Infinity|inf)\b)', re.DOTALL)
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b'[]{}"'))
_SYNTAX = msgspec.json.Decoder(msgspec.Raw)  # looks at all of it, and makes nothing of it
_VALUES = msgspec.json.Decoder()


class Broken(Exception):
    """A rule is broken; the text says which, to be read behind the name of what breaks it."""


class Twice(Broken):
    """A name stands twice in one object."""

    def __init__(self, name: str) -> None:
        super().__init__(f"holds the name {quoted(name)} twice at one place")
        self.name = name


class Malformed(Broken):
    """It is no JSON at all."""


def judge(text: bytes, depth: int = 0, *, lenient: bool = False) -> None:
    """Raise Broken unless a JSON text, which stands `depth` levels deep, keeps the rules. For SHORT_BYTES, or a string.

    `lenient` takes NUL, bytes that are no UTF-8 and absurd numbers. Its callers check the values later, and name the
    place.
    """
    try:
        decoded = text.decode(errors="surrogateescape" if lenient else "strict")
    except UnicodeDecodeError:
        raise Malformed("is not UTF-8") from None
    if not text.startswith(b'"') and too_deep(text, MAX_DEPTH - depth):
        raise too_deep_error()
    try:
        _SYNTAX.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Malformed(_PLACE.sub("", why_malformed(text, error))) from None
    if not lenient and holds_nul(text):
        raise Broken("holds the character NUL, which cannot be stored")
    number = _number if not lenient and _CURIOUS.search(text) else None
    if number is None and _surely_distinct(text):
        return
    json.loads(decoded, object_pairs_hook=_distinct, parse_int=number, parse_float=number)


def is_json(text: bytes) -> bool:
    """Whether a short text is one JSON value."""
    try:
        _SYNTAX.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def check_count(text: bytes, most: int) -> None:
    """Raise Broken for more values than anybody needs: three passes in C instead of a second of judging.

    A value is behind a comma or is the first in a list or an object. Commas in texts count, too: they are few.
    """
    if text.count(b",") + text.count(b"[") + text.count(b"{") > most:
        raise Broken(f"holds more than {most} values; send it in several requests")


def holds_nul(text: bytes) -> bool:
    """Whether a JSON text holds the escaped character NUL, which PostgreSQL does not store."""
    return b"\\u0000" in text and b"\\u0000" in text.replace(b"\\\\", b"__")


def check_numbers(text: bytes) -> None:
    """Raise Broken for an absurd number in a JSON text whose syntax is right."""
    if _CURIOUS.search(text):
        json.loads(text, parse_int=_number, parse_float=_number)


def stored_bytes(text: bytes) -> int:
    """How many bytes PostgreSQL makes of a JSON text at most: a blank behind each comma and colon, and every digit."""
    size = len(text) + text.count(b",") + text.count(b":")
    if _EXPONENT.search(text):
        size += sum(abs(int(exponent)) + 2 for exponent in _EXPONENT.findall(_TEXT.sub(b"", text)))
    return size


def too_deep_error() -> Broken:
    """The rule about depth."""
    return Broken(f"is nested deeper than {MAX_DEPTH} levels")


def too_deep(text: bytes, depth: int) -> bool:
    """Whether objects and lists are nested deeper than `depth`; every step is one pass in C."""
    if text.count(b"[") + text.count(b"{") <= depth:
        return False
    text = _ESCAPED_PAIR.sub(b"", text) if b"\\" in text else text
    marks = text.translate(_BRACKETS, _ALL_BUT_BRACKETS)
    left = b"".join(marks.split(b'"')[::2])  # what stands outside of strings
    for _ in range(depth):
        left = left.replace(b"[]", b"")
    return bool(left)


def why_malformed(body: bytes, error: Exception) -> str:
    """Say in words why a decoder could not read a text."""
    if not body:
        return "is empty"
    if isinstance(error, RecursionError):
        return str(too_deep_error())
    try:
        body.decode()
    except UnicodeDecodeError as wrong:
        return f"is not UTF-8: byte {wrong.start}"
    if _SURROGATE.search(body):
        return "is not valid JSON: it is cut off, or an escaped character is half of a pair"
    if len(body) <= SHORT_BYTES and (told := _odd_number(body)):
        return f"is not valid JSON: {told}"
    return f"is not valid JSON: {malformed(error)}"


def _odd_number(text: bytes) -> str | None:
    """Name the first number that JSON does not know, and the member that it stands in."""
    name = b""
    for found in _ODD_NUMBER.finditer(text):
        if found[3]:
            place = f" (in {quoted(name.decode('utf-8', 'replace'))})" if name else ""
            return f"{found[3].decode()}{place} is no number there; write null, or leave it out"
        if found[2]:
            name = found[1]
    return None


def with_whole_numbers(body: bytes) -> bytes:
    """Write 3.0 and 3e0 as 3, which they are in JSON and in JSON Schema; for decoders that tell them apart.

    Takes as much memory as the body has, whatever is in it.
    """
    written, kept, at = bytearray(), 0, 0
    text = memoryview(body)
    while at < len(body):
        if passed := _BEFORE_A_FRACTION.match(body, at):
            at = passed.end()
        elif number := _NUMBER.match(body, at):
            at = number.end()
            if (whole := _whole(number[0])) is not None:
                written += text[kept : number.start()]
                written += whole
                kept = at
        else:  # a string that is not closed
            break
    if not written:
        return body
    written += text[kept:]
    return bytes(written)


def _whole(token: bytes) -> bytes | None:
    """The same number without a point and an exponent, or None where it has none."""
    if len(token) > _LONGEST_WHOLE or not _WHOLE.fullmatch(token):
        return None
    if len(token) <= _EXACT:
        short = float(token)
        return b"%d" % short if short.is_integer() and short < _WHOLE_BELOW else None
    value = Decimal(token.decode())
    return b"%d" % int(value) if value == value.to_integral_value() and value < _WHOLE_BELOW else None


def _surely_distinct(text: bytes) -> bool:
    """Whether no object has a name twice, found without reading each name: works for a list of flat objects.

    A name that stands twice is one member, with two colons; and no colon is missing where objects or texts hold more.
    """
    try:
        values = _VALUES.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    values = values if type(values) is list else [values]
    return text.count(b":") == sum([len(value) for value in values if type(value) is dict])


def _distinct(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) != len(pairs):
        names = [name for name, _ in pairs]
        raise Twice(next(name for name, equal in groupby(sorted(names)) if len(list(equal)) > 1))


def _number(text: str) -> None:
    exponent = text.lower().partition("e")[2]
    if len(text) > _MAX_NUMBER_CHARACTERS:
        raise Broken(f"holds a number of more than {_MAX_NUMBER_CHARACTERS} characters")
    if not math.isfinite(float(text)) or (exponent and abs(int(exponent)) > _MAX_EXPONENT):
        raise Broken("holds a number that is out of range")
