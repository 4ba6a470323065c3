"""Which characters a name may hold: one rule for names of datasets, projects, classes, files and people.

What a person cannot see, or what turns the direction of the text behind it, makes one name look like another
(`photo_gpj.exe` for `photo_exe.jpg`). Such characters are refused where names come in, and written as escapes where a
name comes from a database that is not ours.
"""

import unicodedata

# Control characters, format characters (direction, zero width), halves of characters, line and paragraph separators.
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# Format characters that real names need: the joiners of emoji, of Persian and of the scripts of India; the number signs
# of Arabic, Syriac and Kaithi, which are drawn; the tags that make the flags of England, Scotland and Wales.
_SEEN = {0x200C, 0x200D, *range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
_SEEN |= set(range(0xE0020, 0xE0080))
_QUOTED_CHARACTERS = 255  # the longest id of an image
_LAST_OF_PATTERN = 0xFFFF  # beyond it a pattern of JSON Schema has no common spelling, and nothing turns a direction


def is_unseen(character: str) -> bool:
    """Whether a character must not stand in a name."""
    return unicodedata.category(character) in _UNSEEN and ord(character) not in _SEEN


def shown(name: str) -> str:
    """Write a name so that nothing in it is hidden: an escape for each character that cannot be seen."""
    if name.isascii() and name.isprintable():
        return name
    return "".join(f"\\u{ord(one):04x}" if is_unseen(one) else one for one in name)


def quoted(text: str) -> str:
    """Quote what somebody sent, for a sentence: no more than a person reads, and nothing that cannot be seen."""
    some = text[:_QUOTED_CHARACTERS] + ("…" if len(text) > _QUOTED_CHARACTERS else "")
    if some.isprintable():  # nearly always; a thirtieth of the time of checking each character
        return "'" + some.replace("\\", "?") + "'"
    return "'" + "".join("?" if is_unseen(one) or one == "\\" else one for one in some) + "'"


def _ranges(codes: list[int]) -> str:
    """Spell characters as the inside of a regular expression's class."""
    found: list[list[int]] = []
    for code in codes:
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return "".join(f"\\u{first:04x}" + (f"-\\u{last:04x}" if last > first else "") for first, last in found)


_CODES = range(_LAST_OF_PATTERN + 1)
UNSEEN = _ranges([code for code in _CODES if unicodedata.category(chr(code)) != "Cs" and is_unseen(chr(code))])
"""The characters as the inside of a class: `[^…]` in a pattern."""

_BLANK = _ranges([code for code in _CODES if chr(code).isspace() and not is_unseen(chr(code))])

NAME = f"^[{_BLANK}]*[^{UNSEEN}{_BLANK}][^{UNSEEN}]*(?!\\n)$"
"""The pattern of a name: something that can be seen, and nothing that cannot."""
