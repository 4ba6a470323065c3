"""Idempotency keys of requests whose files are streamed: their digest is known only when the last file has come.

What makes such a request what it is, is its fields, which come first and are judged as any body is
(labeler_api.idempotency.keys), and the name and the size of each file, in their order. They are noted in the key's row,
with the transaction that writes what the files brought; a request that is sent again is compared with them file by
file, before anything of the file is stored. So an equal request goes on where the first was cut off, and another one
that comes with the same key is refused before it is mixed into what the first has made.

The row also counts the requests that are under way: who fails may clear up only when nobody else goes on.
"""

from hashlib import sha256
from typing import Self

import msgspec

from labeler_api.context import Call
from labeler_api.db.pool import Row, WriteTransaction
from labeler_api.idempotency.keys import reused

_BYTES = 16  # of each file's digest: a thousand files are 16 KB

_ENTER = """
    UPDATE idempotency_keys SET open_requests = open_requests + 1 WHERE user_id = $1 AND key = $2
    RETURNING files, files_complete
"""
_FIND = "SELECT files, files_complete FROM idempotency_keys WHERE user_id = $1 AND key = $2 FOR NO KEY UPDATE"
_KEEP = "UPDATE idempotency_keys SET files = $3, files_complete = $4 WHERE user_id = $1 AND key = $2"
_LEAVE = """
    UPDATE idempotency_keys SET open_requests = open_requests - 1 WHERE user_id = $1 AND key = $2
    RETURNING open_requests
"""


class StreamedFiles:
    """The files of one request, as they come."""

    def __init__(self, call: Call, key: str, known: Row) -> None:
        self._where = (call.user_id, key)
        self._known: bytes = known["files"]
        self._complete: bool = known["files_complete"]
        self._seen = bytearray()

    @classmethod
    async def enter(cls, call: Call) -> Self | None:
        """Count this request among those under way; None when its key has been forgotten since it was claimed."""
        if call.idempotency is None:
            raise ValueError("the request has no key")
        async with call.db.begin() as tx:
            known = await tx.fetchrow(_ENTER, call.user_id, call.idempotency.key)
        return cls(call, call.idempotency.key, known) if known is not None else None

    def add(self, field: str, filename: str, size: int | None) -> None:
        """Note a file; `size` in bytes, None over its limit. Raises Invalid when the first request had another one."""
        at = len(self._seen)
        self._seen += sha256(msgspec.json.encode((field, filename.encode("utf-8", "replace"), size))).digest()[:_BYTES]
        _check(self._known, self._seen, from_=at, complete=self._complete)

    async def keep(self, tx: WriteTransaction, *, complete: bool = False) -> None:
        """Write down what has come; `complete` when nothing comes any more. Raises Invalid as `add` does.

        Comes before other locks are taken, as claiming the key does: equal requests take turns here.
        """
        now = await tx.fetchrow(_FIND, *self._where)
        if now is None:  # a day old, or forgotten
            return
        self._known, self._complete = now["files"], now["files_complete"]
        _check(self._known, self._seen, complete=self._complete)
        if complete and len(self._seen) < len(self._known):
            raise reused()
        if len(self._seen) > len(self._known) or complete > self._complete:
            self._known, self._complete = max(self._known, bytes(self._seen), key=len), self._complete or complete
            await tx.execute(_KEEP, *self._where, self._known, self._complete)

    async def leave(self, tx: WriteTransaction) -> bool:
        """Take this request from those under way; whether it was the last. Comes before other locks, too."""
        left = await tx.fetchval(_LEAVE, *self._where)
        return left is None or left <= 0


def _check(known: bytes, seen: bytes | bytearray, *, complete: bool, from_: int = 0) -> None:
    """Compare what both have. Raises Invalid."""
    end = min(len(known), len(seen))
    if seen[from_:end] != known[from_:end] or (complete and len(seen) > len(known)):
        raise reused()
