"""The ETag of a page of annotations, made so that a repeated request need not read the page.

The frontend reads a thousand annotations after every change, and most of the time they are the same. A page
follows from the project's revision, from the request, and from the names that it shows. The first two are
known before the page is read; for the names the tag itself carries the ids of the users, and their present
names go into its digest. So a tag that matches proves the page, in whichever process it was made.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import blake2b
from itertools import islice

import msgspec

from labeler_api.context import Call
from labeler_api.user_directory.directory import UserProfile

_FORM = 2  # counted up when the page gains or loses a field, so that no browser keeps the old one
_MAX_USERS = 50  # a tag stays well under the limits that proxies have for headers; more users have no short cut
_MAX_TAGS = 4  # browsers send the one that they have
_TAG = re.compile(r'"([0-9]{1,19}(?:\.[0-9]{1,19})*|-):[0-9a-f]{32}"')


class PageTag:
    """Makes and checks the tag of one request for a page: `W/"2.5:digest"` shows names of users 2 and 5."""

    def __init__(self, call: Call, project_id: str, revision: int, request: tuple[object, ...]) -> None:
        self._call = call
        self._parts = (_FORM, project_id, revision, request)

    def of(self, shown: Iterable[int], users: Mapping[int, UserProfile]) -> str:
        """Make the tag of a page that shows the names of these users, as far as they are known."""
        ids = sorted(shown)
        carried = ".".join(map(str, ids)) or "-"
        return f'W/"{carried if len(ids) <= _MAX_USERS else "+"}:{self._digest(ids, users)}"'

    async def still_valid(self) -> str | None:
        """Return the caller's tag if it describes the page as it would be now."""
        for match in islice(_TAG.finditer(self._call.if_none_match or ""), _MAX_TAGS):
            ids = [] if match[1] == "-" else [int(part) for part in match[1].split(".")]
            if len(ids) > _MAX_USERS:
                continue
            users = await self._call.directory.get_many(ids, timeout=self._call.remaining_seconds)
            if self.of(ids, users) == f"W/{match[0]}":
                return f"W/{match[0]}"
        return None

    def _digest(self, ids: list[int], users: Mapping[int, UserProfile]) -> str:
        names = [(user_id, users[user_id].full_name if user_id in users else None) for user_id in ids]
        key = _key(self._call.settings.link_keys[0])
        return blake2b(msgspec.json.encode((self._parts, names)), digest_size=16, key=key).hexdigest()


@cache
def _key(secret: str) -> bytes:
    """The key of the tags: so nobody finds out a name by guessing it and asking whether the tag fits."""
    return blake2b(secret.encode(), digest_size=32, person=b"page-tags").digest()
