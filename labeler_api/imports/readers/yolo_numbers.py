"""Words of a label file: numbers as texts, in the spellings of the tools that write them."""

import re
from math import isfinite

from labeler_api.imports.readers.outlines import MalformedShape

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_MIN_WORDS = 5  # a class and a box
_TOLERANCE = 0.001  # other tools round; beyond it the numbers are pixels
SNIFFED_BYTES = 4096  # a line of the longest outline is longer, and its beginning says enough


def whole(word: str) -> str | None:
    """Return a number of a class as we write it; None for what is none. pandas writes 1.0, numpy.savetxt 1.000e+00."""
    if not _NUMBER.fullmatch(word):
        return None
    number = float(word)
    return str(int(number)) if isfinite(number) and number.is_integer() else None


def fractions(words: list[str]) -> list[float]:
    """Read parts of the image's width and height. Raises Malformed."""
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        raise MalformedShape("it holds something that is no number") from None
    if not all(isfinite(number) and -_TOLERANCE <= number <= 1 + _TOLERANCE for number in numbers):
        raise MalformedShape("its numbers are no parts of the image: expected 0 to 1")
    return numbers


def looks_like_a_label(start: bytes) -> bool:
    """Whether the first line of a text is one of a label: a class and four numbers at least."""
    text = start.decode("utf-8-sig", "replace").lstrip()
    words = text.splitlines()[0].split() if text else []
    return len(words) >= _MIN_WORDS and all(map(_NUMBER.fullmatch, words[:_MIN_WORDS]))
