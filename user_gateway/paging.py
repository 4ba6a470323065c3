"""Page tokens of searches: signed, so that they cannot be made up, and bound to the search that they continue."""

import hashlib
from collections.abc import Iterable, Sequence

import msgspec
from itsdangerous import BadData, URLSafeSerializer

from user_gateway.errors import InvalidArgument


class Position(msgspec.Struct, frozen=True, array_like=True):
    """The last user of a page: the value that the search orders by, None where there is none, and the id."""

    key: str | None
    id: int


class PageTokens:
    """Makes and reads page tokens; the last key signs, all of them are accepted."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._serializer = URLSafeSerializer(list(keys), salt="users.v1.SearchUsers page token")

    def make(self, position: Position, search: str) -> str:
        """Make the token that continues `search` after `position`."""
        text = self._serializer.dumps([search, position.key, position.id])
        return text if isinstance(text, str) else text.decode()

    def read(self, token: str, search: str) -> Position:
        """Return the position; raise InvalidArgument for a token that was changed or belongs to another search."""
        try:
            of_search, key, last_id = msgspec.convert(self._serializer.loads(token), tuple[str, str | None, int])
        except (BadData, msgspec.ValidationError):
            of_search = ""
        if not of_search or of_search != search:
            raise InvalidArgument(
                "PAGE_TOKEN_INVALID", "This page token is not one of this search: start again without it."
            )
        return Position(key, last_id)


def fingerprint(query: str, exclude_ids: Iterable[int], view: int) -> str:
    """Identify a search, whatever the order of the excluded ids."""
    parts = msgspec.json.encode([query, sorted(set(exclude_ids)), view])
    return hashlib.sha256(parts).hexdigest()[:32]  # 128 bits: nobody finds two searches with the same
