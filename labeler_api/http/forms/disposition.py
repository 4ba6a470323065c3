"""Content-Disposition of a part of a form: its field's name, and the name of its file as its sender meant it.

RFC 7578 forbids `filename*` here, and .NET, PowerShell and older Python programs send it all the same (RFC 5987, 8187),
some in several pieces (RFC 2231), some without any other name. It goes before `filename`, which then is a makeshift.
Backslashes are kept: in the names of Windows they stand between folders.
"""

import re
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header
from urllib.parse import unquote_to_bytes

_UNREADABLE = "\ufffd"  # which no path may hold
_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)', re.DOTALL)
_EXTENDED = re.compile(r"([\w.:+-]*)'[^']*'(.*)", re.DOTALL)
_PIECE = re.compile(r"filename\*(\d{1,3})(\*?)")
_QUOTED_PAIR = re.compile(r'\\(["\\])')  # of no other character: an unescaped backslash stands between folders
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_WORDS = re.compile(r"=\?[\w.*'+-]+\?[bBqQ]\?[^?]*\?=(?:\s*=\?[\w.*'+-]+\?[bBqQ]\?[^?]*\?=)*")
# What names are sent in: the two of RFC 5987, and what programs of a country use. Not whatever Python can decode.
_CHARSETS = {
    **dict.fromkeys(("utf-8", "utf8", "us-ascii", "ascii"), "utf-8"),
    **dict.fromkeys(("iso-8859-1", "latin1", "latin-1", "windows-1252", "cp1252"), "cp1252"),
    **dict.fromkeys(("euc-kr", "euckr", "ks_c_5601-1987", "cp949", "ms949", "uhc", "windows-949"), "cp949"),
    **dict.fromkeys(("shift_jis", "shift-jis", "sjis", "cp932", "windows-31j"), "cp932"),
    **dict.fromkeys(("gbk", "gb2312", "gb18030", "cp936"), "gb18030"),
    "big5": "big5",
    "euc-jp": "euc_jp",
}


@dataclass(frozen=True, slots=True)
class Disposition:
    """What the header says. A name that cannot be read holds U+FFFD; no name at all is None."""

    name: str
    filename: str | None


def disposition(header: bytes) -> Disposition:
    """Read the header, whose bytes are UTF-8 where they are not ASCII, as browsers send them."""
    text = header.decode("latin-1")
    given: dict[str, str] = {}
    for key, value in _PARAMETER.findall(text):
        given.setdefault(key.lower(), _unquoted(value.strip()))
    name = _utf8(given["name"]) if "name" in given else _extended(given.get("name*", ""))
    return Disposition(name, _filename(given))


def _filename(given: dict[str, str]) -> str | None:
    extended = _extended(given["filename*"]) if "filename*" in given else _in_pieces(given)
    plain = _plain(given["filename"]) if "filename" in given else None
    if extended is None or (_UNREADABLE in extended and plain and _UNREADABLE not in plain):
        return plain
    return extended


def _extended(value: str) -> str:
    """`charset'language'percent-encoded`; some leave the charset out."""
    parts = _EXTENDED.fullmatch(value)
    charset, encoded = (parts[1], parts[2]) if parts is not None else ("", value)
    return _decoded(encoded, charset or "utf-8")


def _decoded(encoded: str, charset: str) -> str:
    raw = unquote_to_bytes(encoded.encode("latin-1"))
    if _ESCAPE.search(encoded):
        return raw.decode("utf-8", "replace") + _UNREADABLE
    known = _CHARSETS.get(charset.lower())
    if known is None:
        return raw.decode("ascii", "replace")
    return raw.decode(known, "replace")


def _in_pieces(given: dict[str, str]) -> str | None:
    """`filename*0*=utf-8''…; filename*1=…`: the pieces with a star at the end are percent-encoded."""
    pieces = {
        int(found[1]): (value, bool(found[2])) for key, value in given.items() if (found := _PIECE.fullmatch(key))
    }
    if 0 not in pieces:
        return None
    charset, raw = "utf-8", b""
    for number in range(len(pieces)):
        if number not in pieces:
            return raw.decode("utf-8", "replace") + _UNREADABLE
        value, is_encoded = pieces[number]
        if number == 0 and is_encoded and (parts := _EXTENDED.fullmatch(value)) is not None:
            charset, value = parts[1] or charset, parts[2]
        raw += unquote_to_bytes(value.encode("latin-1")) if is_encoded else value.encode("latin-1")
    return raw.decode(_CHARSETS.get(charset.lower(), "ascii"), "replace")


def _plain(value: str) -> str:
    text = _utf8(value)
    return _from_words(text) if _WORDS.fullmatch(text) else text


def _from_words(text: str) -> str:
    """Decode `=?utf-8?B?…?=` (RFC 2047), as programs that know mail write a name."""
    try:
        words = decode_header(text)
        return "".join(
            word if isinstance(word, str) else word.decode(_CHARSETS.get((charset or "").lower(), "ascii"), "replace")
            for word, charset in words
        )
    except (HeaderParseError, ValueError):
        return text + _UNREADABLE


def _utf8(value: str) -> str:
    return value.encode("latin-1").decode("utf-8", "replace")


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        return _QUOTED_PAIR.sub(r"\1", value[1:-1])
    return value
