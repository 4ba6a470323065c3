"""The tables of a database, with what a checksum of each needs."""

from collections.abc import Sequence

import msgspec

from labeler_ops.database.own_objects import OWN_RELATIONS, quoted
from labeler_ops.database.verify.session import Side

# What the move itself writes, on one side before the other: the switch of maintenance mode.
LEFT_OUT = frozenset({"public.maintenance"})

_TABLES = f"""
    SELECT n.nspname AS schema, c.relname AS name,
           pg_relation_size(c.oid) / current_setting('block_size')::bigint AS pages,
           ARRAY(SELECT a.attname::text FROM pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                 ORDER BY a.attname COLLATE "C") AS columns,
           coalesce((SELECT array_agg(a.attname::text ORDER BY k.position)
                     FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, position),
                          pg_attribute a
                     WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.attnum),
                    '{{}}') AS key
    {OWN_RELATIONS} AND (c.relkind = 'r' OR (c.relkind = 'm' AND c.relispopulated)) AND c.relpersistence <> 't'
    ORDER BY 1, 2
"""


class Table(msgspec.Struct, frozen=True):
    """A table; `pages` is its size in the server's blocks, `key` the columns of its primary key, if it has one."""

    schema: str
    name: str
    pages: int
    columns: tuple[str, ...]
    key: tuple[str, ...]

    @property
    def title(self) -> str:
        """What people call it; the schema where it is not the usual one."""
        return self.name if self.schema == "public" else f"{self.schema}.{self.name}"

    @property
    def sql_name(self) -> str:
        """The name for SQL."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    @property
    def row_text(self) -> str:
        """SQL for the whole row as one text. NULL and an empty text differ in it: `(,)` and `("",)`."""
        return _record(self.columns)

    @property
    def key_text(self) -> str:
        """SQL for the key as one text; the row itself where there is no key."""
        return _record(self.key) if self.key else self.row_text


async def read(side: Side) -> list[Table]:
    """List every table and materialized view with rows of its own that is not an extension's."""
    rows = await side.fetch(_TABLES)
    found = [Table(row["schema"], row["name"], row["pages"], tuple(row["columns"]), tuple(row["key"])) for row in rows]
    return [table for table in found if f"{table.schema}.{table.name}" not in LEFT_OUT]


def _record(columns: Sequence[str]) -> str:
    # Each column's own text, then the record of them: a composite's output would depend on nothing else.
    return f"ROW({', '.join(f't.{quoted(column)}::text' for column in columns)})::text"
