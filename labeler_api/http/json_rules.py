"""What a JSON body may not hold although a decoder would take it: equal names, too much depth, NUL, huge numbers.

Equal names in one object are refused, because the last would win in silence and proxies may judge by the first.
"""

import json
import math
import re
from decimal import Decimal
from itertools import groupby
from typing import Any

# The deepest body that anybody sends has 8 levels (a batch of polygons, free attributes aside).
MAX_DEPTH = 32
_WHOLE_BELOW = 2**63  # what a typed member can take at most

_ESCAPED_PAIR = re.compile(rb"\\.", re.DOTALL)
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_HUGE = re.compile(rb"\d{300}|[eE]\+?\d{3}")  # doubles end at 1.8e308
# A string, closed or not, or a number. Possessive, and a match takes all that it looked at: linear in text of any kind.
_NUMBERS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|-?\d++(?:\.\d++)?+(?:[eE][+-]?+\d++)?+', re.DOTALL)
_WHOLE = re.compile(rb"-?\d+(?:\.\d*)?(?:[eE]\+?\d{1,2})?")
_LONGEST_WHOLE = 40  # 19 digits, and as many zeros behind the point
_EXACT = 15  # so many digits are the same number as a double, and the double is cheaper to look at
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b'[]{}"'))


def fault(body: bytes) -> str | None:
    """Say what a body whose syntax is right breaks, or None."""
    if not_utf_8 := _not_utf_8(body):  # decoders do not look into what they skip
        return not_utf_8
    if _NUL.search(body):
        return "holds the character NUL, which cannot be stored"
    if too_deep(body):
        return f"is nested deeper than {MAX_DEPTH} levels"
    try:
        judge = _number if _HUGE.search(body) else None
        json.loads(body, object_pairs_hook=_distinct, parse_int=judge, parse_float=judge)
    except _Broken as error:
        return str(error)
    return None


def too_deep(body: bytes) -> bool:
    """Whether objects and lists are nested deeper than MAX_DEPTH; every step is one pass in C."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return False
    text = _ESCAPED_PAIR.sub(b"", body) if b"\\" in body else body
    marks = text.translate(_BRACKETS, _ALL_BUT_BRACKETS)
    left = b"".join(marks.split(b'"')[::2])  # what stands outside of strings
    for _ in range(MAX_DEPTH):
        left = left.replace(b"[]", b"")
    return bool(left)


def why_malformed(body: bytes, error: Exception) -> str:
    """Say in words why a decoder could not read a body."""
    if not body:
        return "is empty"
    if isinstance(error, RecursionError):
        return f"is nested deeper than {MAX_DEPTH} levels"
    if not_utf_8 := _not_utf_8(body):
        return not_utf_8
    if _SURROGATE.search(body):
        return "is not valid JSON: it is cut off, or a \\u escape is half of a surrogate pair"
    return f"is not valid JSON: {error}"


def with_whole_numbers(body: bytes) -> bytes:
    """Write 3.0 and 3e0 as 3, which they are in JSON and in JSON Schema; for decoders that tell them apart."""
    return _NUMBERS.sub(lambda match: _whole(match[0]), body)


def _not_utf_8(body: bytes) -> str | None:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return f"is not UTF-8: byte {error.start}"
    return None


def _whole(token: bytes) -> bytes:
    if token.isdigit() or token.startswith(b'"') or len(token) > _LONGEST_WHOLE or not _WHOLE.fullmatch(token):
        return token
    if len(token) <= _EXACT:
        short = float(token)
        return b"%d" % short if short.is_integer() and abs(short) < _WHOLE_BELOW else token
    value = Decimal(token.decode())
    return b"%d" % int(value) if value == value.to_integral_value() and abs(value) < _WHOLE_BELOW else token


class _Broken(Exception):
    """A rule is broken; leaves the decoder's callbacks only."""


def _distinct(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        twice = next(name for name, equal in groupby(sorted(names)) if len(list(equal)) > 1)
        raise _Broken(f"names {twice[:100]!r} twice in one object")


def _number(text: str) -> None:
    if not math.isfinite(float(text)):
        raise _Broken("holds a number that is out of range")
