"""Which rows of a table differ: by key, without sending the table over the network.

The keys are dealt into buckets by a digest of their text. One pass gives each side's count and sums per bucket; only
the buckets that disagree are fetched, as pairs of key and row digest. A second pass of finer buckets comes first
where a bucket holds too many rows to fetch.
"""

from collections.abc import Mapping, Sequence

import msgspec

from labeler_ops.database.own_objects import quoted
from labeler_ops.database.verify.checksums import HALVES
from labeler_ops.database.verify.session import Side
from labeler_ops.database.verify.tables import Table

BUCKETS = 4096
FETCHED_ROWS = 200_000  # about 20 MB of keys and digests; more than that is narrowed down first
SHOWN = 100
_SHOWN_CHARACTERS = 120


class RowDifference(msgspec.Struct, frozen=True):
    """A row that is not the same on both sides. `columns` names what differs, where the row is on both."""

    key: str
    kind: str
    columns: dict[str, tuple[str, str]] = {}

    def __str__(self) -> str:
        values = "; ".join(f"{name}: {source} -> {target}" for name, (source, target) in self.columns.items())
        return f"{self.key} {self.kind}" + (f" ({values})" if values else "")


async def find(source: Side, target: Side, table: Table, shown: int = SHOWN) -> tuple[list[RowDifference], int]:
    """Return the first rows that differ, by key, and how many buckets of keys were not looked into for brevity."""
    differing = await _differing(source, target, table)
    fetched: list[int] = []
    left = rows = 0
    for bucket, size in differing:
        if fetched and rows + size > FETCHED_ROWS:
            left += 1
            continue
        rows += size
        fetched.append(bucket)
    ours, theirs = [await _digests(side, table, fetched) for side in (source, target)]
    keys = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    named = keys[:shown]
    both = [key for key in named if table.key and key in ours and key in theirs]
    ours_rows, theirs_rows = [await _rows(side, table, both) for side in (source, target)]
    rows_that_differ = [
        _changed(table, key, ours_rows[key], theirs_rows[key]) if key in ours_rows else _counted(key, ours, theirs)
        for key in named
    ]
    return rows_that_differ, left + len(keys) - len(named)


async def _differing(source: Side, target: Side, table: Table) -> list[tuple[int, int]]:
    ours, theirs = [await _buckets(side, table) for side in (source, target)]
    numbers = sorted(number for number in ours.keys() | theirs.keys() if ours.get(number) != theirs.get(number))
    none = (0, 0, 0)
    return [(number, max(ours.get(number, none)[0], theirs.get(number, none)[0])) for number in numbers]


async def _buckets(side: Side, table: Table) -> Mapping[int, tuple[int, int, int]]:
    rows = await side.fetch(
        f"SELECT bucket, count(*) AS rows, {HALVES.format(digest='digest')} FROM ("
        f"SELECT {_bucket(table)} AS bucket, md5({table.row_text}) AS digest FROM ONLY {table.sql_name} t"
        " OFFSET 0) digests GROUP BY bucket"
    )
    return {row["bucket"]: (row["rows"], int(row["low"]), int(row["high"])) for row in rows}


async def _digests(side: Side, table: Table, buckets: Sequence[int]) -> dict[str, list[str]]:
    """Key to the digests of its rows; more than one where there is no primary key."""
    rows = await side.fetch(
        f"SELECT {table.key_text} AS key, array_agg(md5({table.row_text}) ORDER BY md5({table.row_text})) AS digests"
        f" FROM ONLY {table.sql_name} t WHERE {_bucket(table)} = ANY($1::int[]) GROUP BY 1",
        list(buckets),
    )
    return {row["key"]: row["digests"] for row in rows}


def _bucket(table: Table) -> str:
    return f"(('x' || left(md5({table.key_text}), 8))::bit(32)::bigint % {BUCKETS})::int"


async def _rows(side: Side, table: Table, keys: Sequence[str]) -> dict[str, Mapping[str, str | None]]:
    """Whole rows by key, their values as texts."""
    columns = ", ".join(f"t.{quoted(column)}::text AS {quoted(column)}" for column in table.columns)
    rows = await side.fetch(
        f"SELECT {table.key_text}, {columns} FROM ONLY {table.sql_name} t WHERE {table.key_text} = ANY($1::text[])",
        list(keys),
    )
    return {row[0]: dict(row) for row in rows}


def _changed(table: Table, key: str, ours: Mapping[str, str | None], theirs: Mapping[str, str | None]) -> RowDifference:
    columns = [column for column in table.columns if ours[column] != theirs[column]]
    return RowDifference(
        _short(key), "differs", {column: (_short(ours[column]), _short(theirs[column])) for column in columns}
    )


def _counted(key: str, ours: Mapping[str, Sequence[str]], theirs: Mapping[str, Sequence[str]]) -> RowDifference:
    name, here, there = _short(key), len(ours.get(key, ())), len(theirs.get(key, ()))
    if not there:
        return RowDifference(name, "is missing on the target")
    if not here:
        return RowDifference(name, "is only on the target")
    return RowDifference(name, f"is there {here} times on the source, {there} on the target")


def _short(value: str | None) -> str:
    if value is None:
        return "NULL"
    return value if len(value) <= _SHOWN_CHARACTERS else value[:_SHOWN_CHARACTERS] + "…"
