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
    (r"[-+]?\d[\d,]*(\.\d+)?", "N"),
    (r"\bN ?(kB|MB|GB|KiB|MiB|GiB|bytes?)\b", "SIZE"),
    (r"\bN ?(ms|µs|s|min)\b", "SECONDS"),
    (r"\bby \w+$", "by SOMEBODY"),
)
_REST = "…"


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
    return [_plain(line) for line in text.splitlines() if line.strip()]


def _plain(line: str) -> str:
    for pattern, word in _SAME:
        line = re.sub(pattern, word, line)
    return " ".join(line.split())


def _fits(wanted: list[str], found: list[str]) -> bool:
    """A guide's lines, where `…` stands for any number of lines, as one expression over all that came back."""
    expression = "".join(
        r"(?:.*\n)*?" if line == _REST else ".*".join(map(re.escape, line.split(_REST))) + r"\n" for line in wanted
    )
    return re.fullmatch(expression, "".join(f"{line}\n" for line in found)) is not None
