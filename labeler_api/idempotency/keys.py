"""Idempotency keys: a creating call that is sent again makes nothing twice, and answers what it answered.

A client that does not know whether its request arrived sends it again with the same `Idempotency-Key`. The key's row is
claimed in the very transaction that makes the thing: both are committed or neither, wherever a crash falls. Of
requests with one key at the same moment the first goes on; the others wait for its transaction at the primary key, and
then find its answer, or go on themselves if it was rolled back. An error is not remembered: nothing was made.

A key belongs to a user and to one request, and lives for a day. The row is remembered, without names and links; those
are looked up again by the repeated call.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import msgspec

from labeler_api.context import Call
from labeler_api.db.pool import ReadConnection, Row, WriteTransaction
from labeler_api.errors import Invalid

KEY_HOURS = 24  # retries come within minutes; a day covers a client that was offline

# A key that has lived its day is claimed as if it were new. Each claim removes a few others that have, and skips what
# somebody else removes, so that the table stays small without a job of its own and no request pays for much. They are
# looked for once, before the join: a plan made while the table was empty would do it again at every key.
_CLAIM = f"""
    WITH old AS MATERIALIZED (
        SELECT user_id, key FROM idempotency_keys
        WHERE created_at < now() - interval '{KEY_HOURS} hours' AND (user_id, key) <> ($1, $2)
        ORDER BY created_at LIMIT 10 FOR UPDATE SKIP LOCKED
    ),
    swept AS (
        DELETE FROM idempotency_keys k USING old WHERE k.user_id = old.user_id AND k.key = old.key
    )
    INSERT INTO idempotency_keys AS k (user_id, key, operation, request_sha256)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT ON CONSTRAINT idempotency_keys_pkey DO UPDATE
        SET operation = excluded.operation, request_sha256 = excluded.request_sha256, answer = NULL, created_at = now(),
            files = '', files_complete = false, open_requests = 0
        WHERE k.created_at < now() - interval '{KEY_HOURS} hours'
    RETURNING true
"""  # noqa: S608 - a number of ours

_FIND = f"""
    SELECT operation, request_sha256, answer::text AS answer FROM idempotency_keys
    WHERE user_id = $1 AND key = $2 AND created_at >= now() - interval '{KEY_HOURS} hours'
"""  # noqa: S608 - a number of ours

_KEEP = "UPDATE idempotency_keys SET answer = $3::jsonb WHERE user_id = $1 AND key = $2"


class _Answer(msgspec.Struct):
    """A row as JSON; `times` names the columns that were times."""

    row: dict[str, Any]
    times: list[str]


@asynccontextmanager
async def transaction(call: Call) -> AsyncIterator[WriteTransaction]:
    """Open the transaction of `once`: of one statement, which needs neither BEGIN nor COMMIT, where no key came."""
    async with call.db.single() if call.idempotency is None else call.db.begin() as tx:
        yield tx


async def once(tx: WriteTransaction, call: Call, make: Callable[[], Awaitable[Row]]) -> Row:
    """Return what `make` returns; for a request that was answered before, what it returned then.

    Comes after the access was checked, so that nobody reads an old answer whose role is gone, and before any lock is
    taken: a request that waits here for an equal one must not hold what that one needs. The row may hold what JSON can
    say, and times. Raises Invalid when the key came with another request before.
    """
    wanted = call.idempotency
    if wanted is None:
        return await make()
    claimed = await tx.fetchval(_CLAIM, call.user_id, wanted.key, wanted.operation, wanted.request_sha256)
    if not claimed and (found := await answered(tx, call)) is not None:
        return found
    row = await make()
    await tx.execute(_KEEP, call.user_id, wanted.key, _encoded(row))
    return row


async def answered(connection: ReadConnection, call: Call) -> Row | None:
    """Return the row that this request was answered with before, or None. For use before work that takes long.

    `once` decides: a request that finds nothing here may still lose to an equal one. Raises Invalid as `once` does.
    """
    wanted = call.idempotency
    if wanted is None:
        return None
    found = await connection.fetchrow(_FIND, call.user_id, wanted.key)
    if found is None or found["answer"] is None:
        return None
    if (found["operation"], found["request_sha256"]) != (wanted.operation, wanted.request_sha256):
        raise reused()
    return _decoded(found["answer"])


def reused() -> Invalid:
    """Make the refusal of a key that came with another request before."""
    return Invalid(
        "This Idempotency-Key was sent with another request before. Send a new key with each new request.",
        code="idempotency_key_reused",
        errors=[{"loc": ["header", "idempotency-key"], "message": "was sent with another request before"}],
    )


def _encoded(row: Mapping[str, Any]) -> str:
    values = dict(row)
    times = [name for name, value in values.items() if isinstance(value, datetime)]
    return msgspec.json.encode(_Answer(row=values, times=times)).decode()


def _decoded(text: str) -> Row:
    answer = msgspec.json.decode(text, type=_Answer)
    return answer.row | {name: datetime.fromisoformat(answer.row[name]) for name in answer.times}
