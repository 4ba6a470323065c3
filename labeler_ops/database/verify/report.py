"""What a comparison found: for people, and as JSON for programs."""

from hashlib import sha256

import msgspec
from rich.console import Console
from rich.table import Table as Grid

from labeler_ops.database.verify.checksums import Checksum
from labeler_ops.database.verify.row_diff import SHOWN, RowDifference
from labeler_ops.database.verify.structure import Difference


class TableResult(msgspec.Struct):
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


class Report(msgspec.Struct):
    """The whole comparison. `digest` is of every count and sum, so that two reports can be compared at a glance."""

    tables: list[TableResult]
    structure: list[Difference]
    sequences: list[str]
    seconds: float
    digest: str = ""

    def __post_init__(self) -> None:
        lines = [f"{table.name} {table.source} {table.target}" for table in self.tables]
        lines += [str(one) for one in self.structure] + self.sequences
        self.digest = sha256("\n".join(lines).encode()).hexdigest()

    @property
    def same(self) -> bool:
        """Whether no difference was found."""
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
