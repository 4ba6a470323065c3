"""Names in ZIP archives, as they were meant. A flag or a field says how they are encoded, or nothing does.

Without either, the names of the archive tell together: they are UTF-8 (macOS, Linux), Korean, Japanese or Western
(Windows, by its country). Where they look like none of these, they are not guessed.
"""

import struct
import unicodedata
import zlib
from collections.abc import Callable, Sequence
from itertools import chain
from zipfile import ZipInfo

_UTF8 = 0x800  # a bit of the entry's flags
_UNICODE_PATH = 0x7075  # a field of Info-ZIP's: the name in UTF-8, beside one for older programs
_PATH_HEADER = struct.Struct("<BL")  # its version, and the sum of the other name
_KOREAN_SHARE, _JAPANESE_SHARE = (
    0.75,
    0.5,
)  # of the characters that are not ASCII; Chinese read as Korean has about half
_HANGUL = range(0xB0, 0xC9)  # first bytes of the 2,350 syllables that are in use; the second is A1 or more
_SECOND_BYTE = 0xA1
_KANA = range(0x3041, 0x30FF)


def read(entries: Sequence[ZipInfo]) -> None:
    """Give each entry the name that was meant; one that cannot be read holds U+FFFD."""
    unsaid: list[tuple[ZipInfo, bytes]] = []
    for entry in entries:
        name = entry.orig_filename
        entry.filename = name
        if entry.flag_bits & _UTF8 or name.isascii():
            continue
        raw = name.encode("cp437")
        if (told := _unicode_path(entry.extra, raw)) is not None:
            entry.filename = told
        else:
            unsaid.append((entry, raw))
    encoding = _encoding([raw for _, raw in unsaid])
    for entry, raw in unsaid:
        entry.filename = raw.decode(encoding, "replace")


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    """The name in Info-ZIP's field, where it belongs to this one: who renames an entry may leave the field behind."""
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        field = extra[at + 4 : at + 4 + size]
        at += 4 + size
        if kind != _UNICODE_PATH or len(field) <= _PATH_HEADER.size:
            continue
        version, checksum = _PATH_HEADER.unpack_from(field)
        if version == 1 and checksum == zlib.crc32(raw):
            try:
                return field[_PATH_HEADER.size :].decode()
            except UnicodeDecodeError:
                return None
    return None


def _encoding(names: Sequence[bytes]) -> str:
    """Tell what the names are written in, from all of them; ASCII, so that the rest becomes U+FFFD, if nothing fits."""
    fits: tuple[tuple[str, Callable[[str], bool]], ...] = (
        ("utf-8", lambda _: True),
        ("cp949", _is_korean),
        ("cp932", _is_japanese),
        ("cp437", _is_western),
        ("cp1252", _is_western),
    )
    for encoding, is_so in fits:
        try:
            texts = [name.decode(encoding) for name in names]
        except UnicodeDecodeError:
            continue
        if is_so("".join(character for character in chain(*texts) if not character.isascii())):
            return encoding
    return "ascii"


def _is_korean(text: str) -> bool:
    common = sum(code[0] in _HANGUL and code[1] >= _SECOND_BYTE for code in (one.encode("cp949") for one in text))
    return common >= _KOREAN_SHARE * len(text)


def _is_japanese(text: str) -> bool:
    return sum(ord(one) in _KANA for one in text) >= _JAPANESE_SHARE * len(text)


def _is_western(text: str) -> bool:
    return all(unicodedata.name(one, "").startswith("LATIN ") for one in text)
