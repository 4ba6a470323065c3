"""What a guide shows beside what came back: the same, numbers, times, names of places and runs apart."""

import difflib
import re

# In this order: what is longer and more special comes first.
_SAME = (
    (r" \(Debian [^)]*\)", ""),
    (r"\bguide-(datasets|annotations)\b", r"\1"),  # buckets of a test; the guides have the usual names
    (r"\b\d{8}[T-]\d{6}Z?-[a-z-]+-[0-9a-f]+\b", "RUN"),
    (r"\b[0-9a-f]{16}\b", "DIGEST"),
    (r"\b\d{4}-\d\d-\d\dT?[ \d:.]*( ?Z| ?UTC|[+-]\d\d:?\d\d)?", "TIME"),
    (r"\b(https?|s3)://[^\s,;]+", "URL"),
    (r"\bpostgresql://\S+", "URL"),
    (r"[\w.-]+:\d+/\w+", "DATABASE"),
    (r"[\w.-]+:\d+\b", "HOST"),
    (r"(?<![\w.])/[\w./-]*[\w/]", "PATH"),
    # A count of bytes, a size in thousands and one in 1,024s are different things to print.
    (r"\b\d{1,3}(,\d{3})+ bytes\b", "BYTES"),
    (r"\b\d+ bytes?\b", "FEW-BYTES"),
    (r"[-+]?\d[\d,]*(\.\d+)?", "N"),
    (r"\bN ?(kB|MB|GB)\b", "SIZE"),
    (r"\bN ?(KiB|MiB|GiB)\b", "BINARY-SIZE"),
    (r"\bN ?(ms|µs|s|min)\b", "SECONDS"),
    (r", by \w+$", ", by SOMEBODY"),
)
# A few bytes look the same in both: 56 bytes of a count, and 0 bytes where the next line has 1.2 MB.
_ALIKE = {
    "FEW-BYTES": "(?:FEW-BYTES|BYTES|SIZE)",
    "BYTES": "(?:FEW-BYTES|BYTES)",
    "SIZE": "(?:FEW-BYTES|SIZE)",
}
_SIZES = re.compile(r"\b(?<!-)(?:FEW-BYTES|BYTES|SIZE)\b")
_REST = "…"
_FRAMES = re.compile("[\u2500-\u257f]+")  # of tables


def difference(shown: str, said: str) -> str | None:
    """None where they are the same, else both line by line, as `diff` shows them.

    `…` in the guide stands for what it leaves out: the rest of a line, or, alone on a line, lines.
    """
    wanted, found = _lines(shown), _lines(said)
    if _fits(wanted, found):
        return None
    first = next((n for n in range(len(wanted)) if not _fits([*wanted[: n + 1], _REST], found)), len(wanted))
    told = f"not as shown: {wanted[first]}" if first < len(wanted) else "more came back than is shown"
    return "\n".join([told, *difflib.unified_diff(wanted, found, "the guide", "what came back", n=99, lineterm="")])


def _lines(text: str) -> list[str]:
    return [plain for line in text.splitlines() if (plain := _plain(line))]


def _plain(line: str) -> str:
    line = _FRAMES.sub(" ", line).strip()
    for pattern, word in _SAME:
        line = re.sub(pattern, word, line)
    return " ".join(line.split())


def _fits(wanted: list[str], found: list[str]) -> bool:
    """Whether a guide's lines are all that came back; `…` alone on a line stands for any number of lines."""
    parts: list[list[str]] = [[]]
    for line in wanted:
        if line == _REST:
            parts.append([])
        else:
            parts[-1].append(line)
    first, *between = parts
    if not between:
        return len(first) == len(found) and _stands(first, found, 0)
    # What stands between is looked for from the top: the earliest place leaves the most room for the rest.
    last, place = between.pop(), len(first)
    if not _stands(first, found, 0):
        return False
    for part in between:
        at = next((n for n in range(place, len(found) - len(part) + 1) if _stands(part, found, n)), None)
        if at is None:
            return False
        place = at + len(part)
    return len(found) - len(last) >= place and _stands(last, found, len(found) - len(last))


def _stands(part: list[str], found: list[str], at: int) -> bool:
    """Whether these lines stand at this place; within a line `…` stands for any words."""
    there = found[at : at + len(part)]
    pairs = zip(part, there, strict=False)
    return len(there) == len(part) and all(
        re.fullmatch(".*".join(map(_pattern, shown.split(_REST))), said) for shown, said in pairs
    )


def _pattern(shown: str) -> str:
    escaped = re.escape(shown).replace("FEW\\-BYTES", "FEW-BYTES")
    return _SIZES.sub(lambda found: _ALIKE[found[0]], escaped)
