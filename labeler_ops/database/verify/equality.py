"""Are two databases equal? `compare_databases` reads both, and `DatabaseComparison.same` decides.

Every row of every table, every sequence and every definition counts. The backup, the move and `labeler db verify` all
ask here.
"""

import asyncio
from collections.abc import Callable
from hashlib import sha256
from time import perf_counter

import msgspec
from rich.console import Console
from rich.table import Table as Grid

from labeler_ops.database.verify import checksums, row_diff, sequences, structure, tables
from labeler_ops.database.verify.checksums import Checksum
from labeler_ops.database.verify.row_diff import SHOWN, RowDifference
from labeler_ops.database.verify.session import Side, opened
from labeler_ops.database.verify.structure import DefinitionDifference, Roles
from labeler_ops.database.verify.tables import Table
from labeler_ops.reporter import Progress, counting, no_progress

# Per side. Checksums are work of the servers' processors; more connections than they have cores would only queue.
CONNECTIONS = 4


class TableComparison(msgspec.Struct):
    """One table: None where a side has no such table. `unnamed` counts what differs beyond the rows that are named."""

    name: str
    source: Checksum | None
    target: Checksum | None
    seconds: float
    rows_that_differ: list[RowDifference] = []
    unnamed: int = 0

    @property
    def same(self) -> bool:
        """Whether both sides hold the same rows."""
        return self.source == self.target


class DatabaseComparison(msgspec.Struct):
    """The whole comparison. `digest` is of every count and sum, so that two reports can be compared at a glance."""

    tables: list[TableComparison]
    structure: list[DefinitionDifference]
    sequences: list[str]
    seconds: float
    digest: str = ""

    def __post_init__(self) -> None:
        lines = [f"{table.name} {table.source} {table.target}" for table in self.tables]
        lines += [str(one) for one in self.structure] + self.sequences
        self.digest = sha256("\n".join(lines).encode()).hexdigest()

    @property
    def same(self) -> bool:
        """The decision: the databases are equal where nothing differs."""
        return all(table.same for table in self.tables) and not self.structure and not self.sequences

    @property
    def rows(self) -> int:
        """How many rows of the source were compared."""
        return sum(table.source.rows for table in self.tables if table.source)

    def lines(self) -> list[str]:
        """Every difference in a sentence."""
        found = [str(one) for one in self.structure] + list(self.sequences)
        for table in self.tables:
            if table.same:
                continue
            counts = [side.rows if side else "no table" for side in (table.source, table.target)]
            found.append(f"table {table.name}: {counts[0]} rows on the source, {counts[1]} on the target, not the same")
            found += [f"table {table.name}: {row}" for row in table.rows_that_differ]
            if table.unnamed:
                found.append(f"table {table.name}: and at least {table.unnamed} more (the first {SHOWN} are named)")
        return found

    def show(self, console: Console) -> None:
        """Print the table of tables, and what differs."""
        grid = Grid(box=None, pad_edge=False)
        for title in ("table", "source rows", "target rows", "checksum", "seconds"):
            grid.add_column(title, justify="left" if title in {"table", "checksum"} else "right", no_wrap=True)
        for table in self.tables:
            source, target = [f"{side.rows:,}" if side else "-" for side in (table.source, table.target)]
            grid.add_row(table.name, source, target, "same" if table.same else "DIFFERS", f"{table.seconds:.1f}")
        console.print(grid)
        for line in self.lines():
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        verdict = "The same: every row, definition and sequence" if self.same else f"{len(self.lines())} differences"
        console.print(f"{verdict}. {self.rows:,} rows in {self.seconds:.1f} s. Digest {self.digest[:16]}.")


async def compare_databases(
    source: str,
    target: str,
    *,
    connections: int = CONNECTIONS,
    progress: Progress = no_progress,
    as_of: str | None = None,
    target_as_of: str | None = None,
    roles: Roles | None = None,
) -> DatabaseComparison:
    """Compare two databases, given as URLs.

    Compares the present state, or the snapshots `as_of` and `target_as_of`, which somebody else holds.

    `progress` hears of blocks, of both sides.

    A copy may leave out owners and grants, so they are compared only if `roles` is given.
    Raises DatabaseError when one cannot be read.
    """
    started = perf_counter()
    async with (
        opened("source", source, connections, as_of) as ours,
        opened("target", target, connections, target_as_of) as theirs,
    ):
        here, there = await tables.read(ours), await tables.read(theirs)
        tell = counting(progress, sum(table.pages for table in (*here, *there)))
        results = await _compare(ours, theirs, here, there, tell)
        return DatabaseComparison(
            tables=results,
            structure=await structure.compare(ours, theirs, roles),
            sequences=await sequences.compare(ours, theirs, moving=as_of is not None),
            seconds=round(perf_counter() - started, 3),
        )


async def _compare(
    ours: Side, theirs: Side, here: list[Table], there: list[Table], tell: Callable[[int], None]
) -> list[TableComparison]:
    by_title = [{table.title: table for table in side} for side in (here, there)]
    titles = sorted(by_title[0].keys() | by_title[1].keys())
    # Largest first, so that the last minutes are not one connection at work on one table.
    titles.sort(key=lambda title: -max(side[title].pages for side in by_title if title in side))
    pairs = [(title, by_title[0].get(title), by_title[1].get(title)) for title in titles]
    results = await asyncio.gather(*(_table(ours, theirs, *pair, tell) for pair in pairs))
    return sorted(results, key=lambda result: result.name)


async def _table(
    ours: Side, theirs: Side, title: str, here: Table | None, there: Table | None, tell: Callable[[int], None]
) -> TableComparison:
    started = perf_counter()
    sums = await asyncio.gather(
        *(
            checksums.checksum(side, table, tell) if table else _nothing()
            for side, table in ((ours, here), (theirs, there))
        )
    )
    result = TableComparison(title, sums[0], sums[1], round(perf_counter() - started, 3))
    # Rows of tables that have other columns differ in every row: the structure's difference says it once.
    if here and there and not result.same and (here.columns, here.key) == (there.columns, there.key):
        result.rows_that_differ, result.unnamed = await row_diff.find(ours, theirs, here)
    return result


async def _nothing() -> None:
    return None
