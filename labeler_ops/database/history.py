"""Removing old history: what nobody is to be able to restore any more.

The history is kept for ever unless somebody removes some. Whatever an annotation was within the days that are kept can
be restored afterwards as before: the first entry that is kept holds the state before it, too. The last entry of every
annotation stays, however old: a deleted annotation is restored from it, and its number goes on from there. Versions do
not need the history.
"""

from collections.abc import Callable
from dataclasses import dataclass

from labeler_api.db.failures import FAILURES
from labeler_ops.database.state import opened
from labeler_ops.errors import DatabaseError

# Entries that are looked at in one transaction: a tenth of a second, in which nobody waits, since nobody else changes
# an entry.
_AT_ONCE = 5000

_OLD = """
    WITH batch AS MATERIALIZED (
        SELECT id, annotation_id, timestamp FROM annotation_history WHERE id > $1 ORDER BY id LIMIT $3
    ), old AS (
        SELECT id FROM batch b
        WHERE timestamp < clock_timestamp() - make_interval(days => $2)
            AND EXISTS (SELECT FROM annotation_history l WHERE l.annotation_id = b.annotation_id AND l.id > b.id)
    )
"""
_SEEN = "(SELECT max(id) FROM batch) AS last, (SELECT count(*) FROM batch) AS seen"
_COUNT = f"{_OLD} SELECT {_SEEN}, (SELECT count(*) FROM old) AS old"  # noqa: S608 - constants
_REMOVE = f"""
    {_OLD}, gone AS (DELETE FROM annotation_history h USING old WHERE h.id = old.id RETURNING h.id)
    SELECT {_SEEN}, (SELECT count(*) FROM gone) AS old
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many entries there were, and how many of them are old; those are gone if they were to be removed."""

    entries: int
    old: int


async def prune(dsn: str, kept_days: int, *, remove: bool, progress: Callable[[int], None] = lambda _: None) -> Pruned:
    """Count, or remove, entries older than so many days, a batch a transaction; `progress` hears of entries looked at.

    It may be stopped and begun again, and run while the API is at work. Raises DatabaseError.
    """
    last, entries, old = 0, 0, 0
    async with opened(dsn) as connection:
        try:
            while True:
                row = await connection.fetchrow(_REMOVE if remove else _COUNT, last, kept_days, _AT_ONCE, timeout=60)
                assert row is not None  # noqa: S101 - aggregates always give a row
                if row["last"] is None:
                    return Pruned(entries, old)
                last, entries, old = row["last"], entries + row["seen"], old + row["old"]
                progress(entries)
        except FAILURES as error:
            raise DatabaseError(f"stopped after {entries} entries: {error or type(error).__name__}") from error
