"""A table's rows as three numbers that do not depend on their order: how many, and two sums over their digests.

The digest is MD5 of the row's text, whose two halves are summed apart: 128 bits, built in since ever and the same in
every version, which PostgreSQL's own hash functions do not promise. Sums and not XOR: a row that is there twice does
not cancel itself out. An accident is what this has to find; nobody forges rows here.
"""

import asyncio
from collections.abc import Callable, Iterator

import msgspec

from labeler_ops.database.verify.session import Side
from labeler_ops.database.verify.tables import Table

# 64 MiB in blocks of 8 KiB: large enough that starting a query costs little, short enough to show progress
# and to spread one large table over the connections.
PAGES_PER_RANGE = 8192

HALVES = (
    "coalesce(sum(('x' || left({digest}, 16))::bit(64)::bigint::numeric), 0) AS low,"
    " coalesce(sum(('x' || right({digest}, 16))::bit(64)::bigint::numeric), 0) AS high"
)


class Checksum(msgspec.Struct, frozen=True):
    """What is compared; the sums are whole numbers as decimal text, since JSON's numbers would round them."""

    rows: int
    low: str
    high: str


async def checksum(side: Side, table: Table, progress: Callable[[int], None]) -> Checksum:
    """Read a whole table. `progress` is told the blocks that are done."""
    parts = await asyncio.gather(*(_range(side, table, first, last, progress) for first, last in _ranges(table.pages)))
    return Checksum(
        rows=sum(part[0] for part in parts),
        low=str(sum(part[1] for part in parts)),
        high=str(sum(part[2] for part in parts)),
    )


def _ranges(pages: int) -> Iterator[tuple[int, int | None]]:
    """Split a table by where its rows lie; the last range is open, for a table that has grown since it was measured."""
    starts = range(0, max(pages, 1), PAGES_PER_RANGE)
    for first in starts:
        yield first, first + PAGES_PER_RANGE if first != starts[-1] else None


async def _range(
    side: Side, table: Table, first: int, last: int | None, progress: Callable[[int], None]
) -> tuple[int, int, int]:
    upper = f" AND t.ctid < '({last},0)'::tid" if last is not None else ""
    # OFFSET 0 keeps the planner from computing the digest twice, once for each half.
    row = await side.fetchrow(
        f"SELECT count(*) AS rows, {HALVES.format(digest='digest')} FROM ("
        f"SELECT md5({table.row_text}) AS digest FROM ONLY {table.sql_name} t"
        f" WHERE t.ctid >= '({first},0)'::tid{upper} OFFSET 0) digests"
    )
    progress(min(table.pages, last or table.pages) - first)
    return row["rows"], int(row["low"]), int(row["high"])
