"""Compare two databases."""

import asyncio
from collections.abc import Callable
from time import perf_counter

from labeler_ops.database.verify import checksums, row_diff, sequences, structure, tables
from labeler_ops.database.verify.report import Report, TableResult
from labeler_ops.database.verify.session import Side, opened
from labeler_ops.database.verify.structure import Roles
from labeler_ops.database.verify.tables import Table

# Per side. Checksums are work of the servers' processors; more connections than they have cores would only queue.
CONNECTIONS = 4

Progress = Callable[[int, int], None]
"""Called with (blocks done, blocks in all); blocks of both sides."""


async def verify(
    source: str,
    target: str,
    *,
    connections: int = CONNECTIONS,
    progress: Progress | None = None,
    as_of: str | None = None,
    target_as_of: str | None = None,
    roles: Roles | None = None,
) -> Report:
    """Compare two databases, given as URLs, as of now; a side as of a snapshot that somebody else holds, if given.

    Owners and grants are compared when `roles` says what is expected of them: a copy may be made without.
    Raises DatabaseRefused when one cannot be read.
    """
    started = perf_counter()
    async with (
        opened("source", source, connections, as_of) as ours,
        opened("target", target, connections, target_as_of) as theirs,
    ):
        here, there = await tables.read(ours), await tables.read(theirs)
        tell = _counting(sum(table.pages for table in (*here, *there)), progress)
        results = await _compare(ours, theirs, here, there, tell)
        return Report(
            tables=results,
            structure=await structure.compare(ours, theirs, roles),
            sequences=await sequences.compare(ours, theirs, moving=as_of is not None),
            seconds=round(perf_counter() - started, 3),
        )


async def _compare(
    ours: Side, theirs: Side, here: list[Table], there: list[Table], tell: Callable[[int], None]
) -> list[TableResult]:
    by_title = [{table.title: table for table in side} for side in (here, there)]
    titles = sorted(by_title[0].keys() | by_title[1].keys())
    # Largest first, so that the last minutes are not one connection at work on one table.
    titles.sort(key=lambda title: -max(side[title].pages for side in by_title if title in side))
    pairs = [(title, by_title[0].get(title), by_title[1].get(title)) for title in titles]
    results = await asyncio.gather(*(_table(ours, theirs, *pair, tell) for pair in pairs))
    return sorted(results, key=lambda result: result.name)


async def _table(
    ours: Side, theirs: Side, title: str, here: Table | None, there: Table | None, tell: Callable[[int], None]
) -> TableResult:
    started = perf_counter()
    sums = await asyncio.gather(
        *(
            checksums.checksum(side, table, tell) if table else _nothing()
            for side, table in ((ours, here), (theirs, there))
        )
    )
    result = TableResult(title, sums[0], sums[1], round(perf_counter() - started, 3))
    # Rows of tables that have other columns differ in every row: the structure's difference says it once.
    if here and there and not result.same and (here.columns, here.key) == (there.columns, there.key):
        result.rows_that_differ, result.unnamed = await row_diff.find(ours, theirs, here)
    return result


async def _nothing() -> None:
    return None


def _counting(total: int, progress: Progress | None) -> Callable[[int], None]:
    done = 0

    def tell(blocks: int) -> None:
        nonlocal done
        done += blocks
        if progress:
            progress(done, total)

    return tell
