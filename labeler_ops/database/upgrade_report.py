"""What an upgrade did to the rows, read back from the record that the migrations keep in the database."""

from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.table import Table

from labeler_api.migrations import HEAD

if TYPE_CHECKING:
    from sqlalchemy import Connection

_MOVES = ("quarantined", "merged", "added", "changed")


class UpgradeStep(msgspec.Struct, frozen=True):
    """One rule of one revision and the number of rows it touched."""

    revision: str
    table: str
    action: str
    rule: str
    rows: int


class TableRows(msgspec.Struct):
    """The rows of one table over the whole upgrade; `before + added` is `after + quarantined + merged`."""

    before: int = 0
    after: int = 0
    quarantined: int = 0
    merged: int = 0
    added: int = 0
    changed: int = 0

    @property
    def even(self) -> bool:
        """Whether every row is accounted for."""
        return self.before + self.added == self.after + self.quarantined + self.merged


class UpgradeReport(msgspec.Struct):
    """The revisions before and after, what was noticed in advance, and each table's rows."""

    before: str | None
    after: str
    notes: list[str] = []
    steps: list[UpgradeStep] = []

    @classmethod
    def read(cls, connection: "Connection", before: str | None, notes: list[str]) -> "UpgradeReport":
        """Read the record of the upgrade that ended last, with what runs of it had done that were cut off."""
        from sqlalchemy import select  # a third of a second to load, which other commands need not wait for

        from labeler_api.db.tables import migration_report

        table = migration_report.c
        ends = connection.scalars(select(table.id).where(table.action == "finished").order_by(table.id.desc()).limit(2))
        _, started = (*ends, 0, 0)[:2]
        query = (
            select(table.revision, table.table_name, table.action, table.rule, table.row_count)
            .where(table.id > started, table.action != "finished")
            .order_by(table.id)
        )
        return cls(before, HEAD, notes, [UpgradeStep(*row) for row in connection.execute(query)])

    @property
    def tables(self) -> dict[str, TableRows]:
        """The sums per table, in the order in which the tables first appear."""
        sums: dict[str, TableRows] = {}
        for step in self.steps:
            rows = sums.setdefault(step.table, TableRows())
            if step.action == "before":
                rows.before = rows.before or step.rows - rows.added + rows.quarantined + rows.merged
                rows.after = step.rows
            elif step.action == "after":
                rows.after = step.rows
            elif step.action in _MOVES:
                setattr(rows, step.action, getattr(rows, step.action) + step.rows)
        return sums

    @property
    def set_aside(self) -> dict[str, TableRows]:
        """The tables that rows were taken out of and put into quarantine."""
        return {name: rows for name, rows in self.tables.items() if rows.quarantined}

    @property
    def even(self) -> bool:
        """Whether no row vanished."""
        return all(rows.even for rows in self.tables.values())

    def for_programs(self) -> dict[str, Any]:
        """Give the report for programs."""
        tables = {name: msgspec.structs.asdict(rows) for name, rows in self.tables.items()}
        whole = {"before": self.before, "after": self.after, "even": self.even, "notes": self.notes}
        steps = [step for step in self.steps if step.action not in {"before", "after"}]
        return {**whole, "tables": tables, "steps": steps}

    def show(self, console: Console) -> None:
        """Print the report for people."""
        for note in self.notes:
            console.print(f"[yellow]note[/yellow] {note}")
        if self.before == self.after:
            console.print(f"The database is at the newest revision, {self.after}: nothing to do.")
            return
        console.print(f"Upgraded from {self.before or 'an empty database'} to {self.after}.")
        if self.steps:
            console.print(self._sums())
            console.print(self._rules())
        verdict = "[green]Every row is accounted for.[/green]" if self.even else "[red]Rows are missing.[/red]"
        console.print(verdict)

    def _sums(self) -> Table:
        shown = Table("table", *("before", "after", *_MOVES), title="Rows")
        for name, rows in self.tables.items():
            counts = (rows.before, rows.after, *(getattr(rows, move) for move in _MOVES))
            shown.add_row(name, *(f"{count:,}" for count in counts))
        return shown

    def _rules(self) -> Table:
        shown = Table("table", "action", "rows", "rule", title="What was done to them")
        for step in self.steps:
            if step.action not in {"before", "after"}:
                shown.add_row(step.table, step.action, f"{step.rows:,}", step.rule)
        return shown
