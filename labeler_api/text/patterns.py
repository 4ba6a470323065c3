"""The patterns of texts, and the phrase for a text that does not match.

The phrase is read behind the name of the field: "The e-mail address is not valid." Nobody is shown a pattern.
"""

from typing import Final

from labeler_api.text.names import NAME, UNSEEN

EMAIL: Final = r"^[^@\x00-\x20\x7f]+@[^@\x00-\x20\x7f]+$"
# Blanks around it come with copying; what a blank is, is spelled out, for regular expressions differ in it.
EMAIL_COPIED: Final = r"^[ \t\r\n]*[^@\x00-\x20\x7f]+@[^@\x00-\x20\x7f]+[ \t\r\n]*$"
# What the frontend sends is #rrggbb; the other forms of CSS are what older clients may have.
COLOR: Final = r"^(#[0-9A-Fa-f]{3,8}|[A-Za-z]{3,30}|(rgb|hsl)a?\([0-9a-z.,%/ -]{1,45}\))$"
# The address of a class `reorder` has another meaning.
CLASS_ID: Final = f"^(?!reorder$)[^{UNSEEN}]+(?!\\n)$"
STATUS: Final = r"^[A-Za-z][A-Za-z0-9_-]*$"
# Both become a segment of an object's key: no slash, no dot in front, nothing that needs quoting.
TASK: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
VERSION: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"

_UNSEEN = "may not hold characters that cannot be seen, such as control characters"

REFUSALS: Final = {
    EMAIL: "is not valid",
    EMAIL_COPIED: "is not valid",
    COLOR: "is not a colour; write one as #ff8800, or by its English name",
    CLASS_ID: f"{_UNSEEN}, and may not be reorder",
    NAME: f"{_UNSEEN}, and needs one that can",
    STATUS: "has to begin with a letter, and may hold letters, digits, hyphens and underscores",
    TASK: "may hold letters, digits, hyphens and underscores, and begins with a letter or a digit",
    VERSION: "may hold letters, digits, dots, hyphens and underscores, and begins with a letter or a digit",
}
