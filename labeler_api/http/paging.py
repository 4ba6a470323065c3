"""Opaque cursors of keyset paging. They carry a position, and no authority."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import TypeVar

import msgspec

from labeler_api.errors import invalid

T = TypeVar("T")

_MAX_CURSOR_CHARACTERS = 2048  # an image id has 255 characters at most; four bytes each, in base64, and room


class CursorQuery(msgspec.Struct):
    """Where a list goes on; `cursor` is the X-Next-Cursor of the page before."""

    cursor: str = ""


def encode_cursor(position: object) -> str:
    """Write the position of the last row that was sent."""
    return urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def decode_cursor(text: str, kind: type[T]) -> T:
    """Read a position back. Raises Invalid for anything that `encode_cursor` did not write."""
    try:
        if len(text) > _MAX_CURSOR_CHARACTERS:
            raise ValueError("too long")
        return msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=kind)
    except (Base64Error, msgspec.MsgspecError, ValueError):
        raise invalid("is not a cursor that this list gave out", "query", "cursor", code="bad_cursor") from None
