"""Names of people's choosing in files that keep one name a line, or that may not hold every character."""

import re

from labeler_api.versions.formats.classes import ClassList

_BREAKS = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")  # what str.splitlines ends a line at


def one_line(text: str) -> str:
    """Put a name on one line."""
    return _BREAKS.sub(" ", text)


def class_lines(classes: ClassList) -> bytes:
    """Return the names of the classes by their number, one a line, without a line end behind the last."""
    return "\n".join(one_line(entry.name) for entry in classes.classes).encode()
