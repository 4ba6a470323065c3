"""Sequences: their definitions, where they stand, and whether the next number is free."""

import msgspec

from labeler_ops.database.own_objects import USER_SCHEMA, quoted
from labeler_ops.database.verify.session import Side

_SEQUENCES = f"""
    SELECT n.nspname AS schema, c.relname AS name, q.seqstart AS start, q.seqincrement AS step, q.seqmin AS lowest,
           q.seqmax AS highest, q.seqcache AS cache, q.seqcycle AS cycle, format_type(q.seqtypid, NULL) AS type,
           t.relname AS table, tn.nspname AS table_schema, a.attname AS column
    FROM pg_sequence q JOIN pg_class c ON c.oid = q.seqrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_depend d ON d.objid = c.oid AND d.deptype IN ('a', 'i')
         AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
    LEFT JOIN pg_class t ON t.oid = d.refobjid LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
    WHERE {USER_SCHEMA} ORDER BY 1, 2
"""


class Sequence(msgspec.Struct, frozen=True):
    """A sequence as it stands: `following` is the number that it gives next, `used_to` the furthest in its column."""

    definition: str
    last_value: int
    is_called: bool
    following: int
    used_to: int | None
    step: int

    @property
    def is_free(self) -> bool:
        """Whether the next number lies beyond every one that the column holds."""
        if self.used_to is None:
            return True
        return self.following > self.used_to if self.step > 0 else self.following < self.used_to


async def compare(source: Side, target: Side, *, moving: bool = False) -> list[str]:
    """Describe every sequence that is not alike on both sides, or whose next number the target already holds.

    `moving` is for a source that is written to: sequences know no snapshots, so where they stand is not compared.
    """
    ours, theirs = await read(source), await read(target)
    found = []
    for name in sorted(ours.keys() | theirs.keys()):
        here, there = ours.get(name), theirs.get(name)
        if here is None or there is None:
            found.append(f"sequence {name} is {'missing' if there is None else 'only'} on the target")
            continue
        if here.definition != there.definition:
            found.append(f"sequence {name}: {here.definition} on the source, {there.definition} on the target")
        if not moving and (here.last_value, here.is_called) != (there.last_value, there.is_called):
            found.append(f"sequence {name}: gives {here.following} next on the source, {there.following} on the target")
        if not there.is_free:
            found.append(f"sequence {name}: the target would give {there.following}, and holds {there.used_to} already")
    return found


async def read(side: Side) -> dict[str, Sequence]:
    """Read every sequence of a side, by name."""
    found = {}
    for row in await side.fetch(_SEQUENCES):
        name = f"{quoted(row['schema'])}.{quoted(row['name'])}"
        state = await side.fetchrow(f"SELECT last_value, is_called FROM {name}")
        used_to = None
        if row["column"] is not None:
            column, table = quoted(row["column"]), f"{quoted(row['table_schema'])}.{quoted(row['table'])}"
            furthest = "max" if row["step"] > 0 else "min"
            used_to = await side.fetchval(f"SELECT {furthest}({column})::bigint FROM ONLY {table}")
        definition = ", ".join(
            f"{part} {row[part]}" for part in ("type", "start", "step", "lowest", "highest", "cache", "cycle")
        )
        if row["column"] is not None:
            definition += f", of {row['table']}.{row['column']}"
        title = row["name"] if row["schema"] == "public" else f"{row['schema']}.{row['name']}"
        following = state["last_value"] + (row["step"] if state["is_called"] else 0)
        found[title] = Sequence(definition, state["last_value"], state["is_called"], following, used_to, row["step"])
    return found
