"""What revisions are made of: statements, and repairs of rows whose counts must come out even."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from alembic import op

_OTHERS_TIMEOUT = "15min"  # an export may have its transaction open for ten


def run(statement: str) -> int:
    """Execute one statement as it stands (no parameters, so `:` and `%` mean themselves); the number of rows it touched."""
    return op.get_bind().exec_driver_sql(statement).rowcount


def index_beside_others(name: str, definition: str) -> None:
    """Build an index while everybody goes on reading and writing its table; commits what the revision did before.

    It waits for transactions that are open, an import's and an export's too, and nobody waits for it meanwhile. What a
    run that was cut off left of it is built again.
    """
    with op.get_context().autocommit_block():
        before = op.get_bind().exec_driver_sql("SHOW lock_timeout").scalar_one()
        run(f"SET lock_timeout = '{_OTHERS_TIMEOUT}'")
        run(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        run(f"CREATE INDEX CONCURRENTLY {name} ON {definition}")
        run(f"SET lock_timeout = '{before}'")


def value(query: str) -> int:
    """Fetch one number."""
    return int(op.get_bind().exec_driver_sql(query).scalar_one())


def forward_only() -> NoReturn:
    """Stand in for a downgrade. Quarantined, merged and recomputed rows cannot be put back by a script."""
    raise NotImplementedError(
        "There is no way down: rows were mended and moved on the way up. Restore the backup that was taken before the upgrade "
        "(pg_restore of the dump) into an empty database instead."
    )


def legacy_timezone() -> str:
    """Name the zone of times that production's server filled in; UTC unless the caller says otherwise.

    Raises ValueError when PostgreSQL knows no zone of that name.
    """
    config = op.get_context().config
    given = config.attributes.get("legacy_timezone") if config is not None else None
    name = str(given or os.environ.get("LABELER_LEGACY_TIMEZONE") or "UTC")
    if not value(f"SELECT count(*) FROM pg_timezone_names WHERE name = '{_quoted(name)}'"):
        raise ValueError(f"{name!r} is no time zone; expected a name such as UTC or Asia/Seoul")
    return name


class UnevenRows(Exception):
    """A revision lost or gained rows it cannot account for; nothing of it was kept."""


class Repairs:
    """The rows of one revision: every row that leaves its table is quarantined or merged, and counted."""

    def __init__(self, revision: str, tables: tuple[str, ...]) -> None:
        self._revision = revision
        self._tables = tables
        self._balance: dict[str, int] = {}  # rows that each table should have at the end
        self._touched: dict[str, bool] = {}

    def quarantine(self, table: str, condition: str, reason: str) -> int:
        """Move the rows `x` of a table that fulfil a condition to its quarantine, whole, with the reason."""
        return self._record(
            table,
            "quarantined",
            reason,
            f"""
            WITH gone AS (DELETE FROM {table} AS x WHERE {condition} RETURNING x.*)
            INSERT INTO quarantine_{table} (reason, row) SELECT '{_quoted(reason)}', to_jsonb(gone) FROM gone
            """,
        )

    def change(self, table: str, rule: str, statement: str) -> int:
        """Run a statement that mends rows where they are."""
        return self._record(table, "changed", rule, statement)

    def merge(self, table: str, rule: str, statement: str) -> int:
        """Run a DELETE of rows whose content other rows have taken over."""
        return self._record(table, "merged", rule, statement)

    def add(self, table: str, rule: str, statement: str) -> int:
        """Run an INSERT of rows that a rule asks for."""
        return self._record(table, "added", rule, statement)

    def note(self, table: str, action: str, rule: str, rows: int) -> None:
        """Keep a count in the report, in the same transaction as what it counts; nothing happened to no rows."""
        if rows or action == "after":
            run(
                "INSERT INTO migration_report (revision, table_name, action, rule, row_count) "
                f"VALUES ('{self._revision}', '{table}', '{action}', '{_quoted(rule)}', {rows})"
            )

    def _record(self, table: str, action: str, rule: str, statement: str) -> int:
        rows = run(statement)
        self._balance[table] = self._balance.get(table, 0) + {"added": rows, "changed": 0}.get(action, -rows)
        self.note(table, action, rule, rows)
        return rows

    def _open(self) -> None:
        # Nobody writes between the repair of the rows and the constraint that keeps them so.
        run(f"LOCK TABLE {', '.join(self._tables)} IN ACCESS EXCLUSIVE MODE")
        for table in self._tables:
            rows = _rows(table)
            self._balance[table] = rows
            self._touched[table] = rows > 0
            self.note(table, "before", "rows when the revision began", rows)

    def _close(self) -> None:
        for table in self._tables:
            rows = _rows(table)
            if rows != self._balance[table]:
                raise UnevenRows(f"{table}: {self._balance[table]} rows expected after {self._revision}, {rows} found")
            if rows or self._touched[table]:
                self.note(table, "after", "rows when the revision ended", rows)


@contextmanager
def repairs(revision: str, *tables: str) -> Iterator[Repairs]:
    """Lock the tables, count their rows, and refuse to end with rows that nobody accounted for."""
    rows = Repairs(revision, tables)
    rows._open()
    yield rows
    rows._close()


def _rows(table: str) -> int:
    exists = op.get_bind().exec_driver_sql(f"SELECT to_regclass('{table}') IS NOT NULL").scalar_one()
    return value(f"SELECT count(*) FROM {table}") if exists else 0


def _quoted(literal: str) -> str:
    return literal.replace("'", "''")
