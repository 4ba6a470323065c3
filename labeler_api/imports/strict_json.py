"""JSON files of any size: mapped into memory by the page, checked as a whole, decoded item by item.

Blocking; call it in a thread. The decoder itself takes the last of two equal names and any depth that the stack
allows. Here both are refused: a file in which `annotations` stands twice would lose one half in silence.
"""

import mmap
import re
from typing import IO, Any

import msgspec

from labeler_api.http.decoding import from_validation
from labeler_api.imports.readers.items import Unreadable

# The deepest file that anybody writes has 8 (a ring of points in an annotation of an image, attributes aside).
_MAX_DEPTH = 32

# A string and, if it is a name, its colon; a list of numbers as one; what opens and closes the rest.
_TOKENS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"\s*+:?+|\[[-+0-9.eE,\s]*+\]|[\[\]{}]', re.DOTALL)
_COLON = ord(":")
_BOM = b"\xef\xbb\xbf"

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)


def top_members(file: IO[bytes]) -> dict[str, msgspec.Raw]:
    """Return the members of the object that a file holds. Raises Unreadable."""
    try:
        # Never closed by hand: a Raw points into it, and keeps it, until nobody has one any more.
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:
        raise Unreadable("the file is empty") from None
    content: Any = memoryview(mapped)[len(_BOM) :] if mapped[: len(_BOM)] == _BOM else mapped
    members: dict[str, msgspec.Raw] = _decoded(_OBJECT, content, "the file")
    _check_names_and_depth(content)
    return members


def items(members: dict[str, msgspec.Raw], name: str) -> list[msgspec.Raw]:
    """Return the items of a list among the members, undecoded; none where the member is missing or null."""
    raw = members.get(name)
    if raw is None or bytes(memoryview(raw)[:4]) == b"null":
        return []
    found: list[msgspec.Raw] = _decoded(_LIST, raw, name)
    return found


def reason(error: Exception) -> str:
    """Say in words what a decoder did not like."""
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "is not UTF-8"
    if not isinstance(error, msgspec.ValidationError):
        return f"is not valid JSON: {error}"[:300]
    found: Any = from_validation(error, "").extra["errors"]
    place = ".".join(str(step) for step in found[0]["loc"] if step not in {"", "..."})
    return f"{place}: {found[0]['message']}" if place else str(found[0]["message"])


def _decoded(decoder: "msgspec.json.Decoder[Any]", content: Any, what: str) -> Any:
    try:
        return decoder.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"{what} {reason(error)}") from None


def _check_names_and_depth(content: Any) -> None:
    """Refuse equal names in one object, and too much depth. The syntax is known to be right."""
    open_names: list[set[bytes] | None] = []
    names: set[bytes] | None = None
    for match in _TOKENS.finditer(content):
        token = match[0]
        if token[-1] == _COLON and names is not None:
            name = _name(token)
            if name in names:
                raise Unreadable(f"the name {name.decode('utf-8', 'replace')[:100]} stands twice in one object")
            names.add(name)
        elif token in (b"{", b"["):
            open_names.append(names)
            names = set() if token == b"{" else None
            if len(open_names) > _MAX_DEPTH:
                raise Unreadable(f"it is nested deeper than {_MAX_DEPTH} levels")
        elif token in (b"}", b"]"):
            names = open_names.pop()


def _name(token: bytes) -> bytes:
    """The name with its quotes; spelled as the decoder reads it, where escapes allow several spellings."""
    name = token[:-1].rstrip()
    if b"\\" not in name:
        return name
    text: str = _decoded(_TEXT, name, "a name")
    return b'"' + text.encode() + b'"'
