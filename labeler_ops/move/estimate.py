"""How long the phases of a move would take: from the sizes, and the rates of earlier moves of the same database."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from labeler_ops.connecting import connected
from labeler_ops.database.own_objects import OWN_RELATIONS
from labeler_ops.database.roles import Database
from labeler_ops.move.context import KIND, plan_of
from labeler_ops.runs import Run

# MiB a second: what two cores and a local disk do at least; over a network the line is the limit.
_RATES = {"dump": 120.0, "restore": 45.0, "verify": 80.0, "objects": 40.0}
_MEBIBYTE = 2**20
_SHOWN_TABLES = 5
_SIZES = f"""
    SELECT c.oid::regclass::text AS name, greatest(c.reltuples, 0)::bigint AS rows,
           pg_total_relation_size(c.oid) AS bytes
    {OWN_RELATIONS} AND c.relkind = 'r' ORDER BY 3 DESC
"""
_SIZE = "SELECT pg_database_size(current_database())"


class Estimate(msgspec.Struct, frozen=True):
    """Expected seconds by the phase's name. `rates_of` says where the rates come from."""

    lines: list[str]
    seconds: dict[str, float]
    rates_of: str


class _Measured(NamedTuple):
    """What an earlier run measured, in MiB a second."""

    run: str
    rates: dict[str, float]


async def estimate(source: str | None, object_bytes: int, runs: Path, database: Database) -> Estimate:
    """Look at the sizes, and reckon with the rates of earlier moves of this database in `runs`, such as a rehearsal."""
    rows = _newest(runs, database, _of_rows) if source is not None else None
    objects = _newest(runs, database, _of_objects) if object_bytes else None
    rates = _RATES | (rows.rates if rows else {}) | (objects.rates if objects else {})
    seconds = dict.fromkeys(("objects, first pass", "verify objects"), object_bytes / _MEBIBYTE / rates["objects"])
    lines: list[str] = []
    if source is not None:
        size, lines = await _sizes(source)
        took = {name: size / _MEBIBYTE / rates[name] for name in ("dump", "restore", "verify")}
        copy = took["dump"] + took["restore"]
        seconds |= {"backup": copy + took["verify"], "copy": copy, "verify": took["verify"]}
    known = {"rows": rows} if source is not None else {}
    known |= {"objects": objects} if object_bytes else {}
    return Estimate(lines, {name: round(value, 1) for name, value in seconds.items()}, _rates_of(known))


def seconds_without_writes(told: Estimate, phases: Iterable[str]) -> float:
    """Add up what users wait for. A move by replication has no phase `copy`: they work while its target follows."""
    waited_for = {"verify", "verify objects"} | ({"copy"} & set(phases))
    return sum(told.seconds.get(name, 0) for name in waited_for)


async def _sizes(source: str) -> tuple[int, list[str]]:
    async with connected(source) as connection:
        size = await connection.fetchval(_SIZE)
        tables = await connection.fetch(_SIZES)
    lines = [f"the source has {len(tables)} tables and {size / _MEBIBYTE:,.1f} MiB; the largest:"]
    return size, lines + [
        f"  {row['name']}: about {row['rows']:,} rows, {row['bytes'] / _MEBIBYTE:,.1f} MiB"
        for row in tables[:_SHOWN_TABLES]
    ]


def _newest(runs: Path, database: Database, measured: Callable[[Run], dict[str, float]]) -> _Measured | None:
    """Find the newest move of this database that has such rates: a few rows of another one say nothing about it."""
    for journal in sorted(runs.glob(f"*-{KIND}-*/journal.jsonl"), reverse=True):
        run = Run.read(journal.parent)
        if plan_of(run).database == database and (rates := measured(run)):
            return _Measured(run.id, rates)
    return None


def _rates_of(known: dict[str, _Measured | None]) -> str:
    """Say where the rates come from, of rows and objects apart where they come from different places."""
    said = {part: f"as in run {found.run}" if found else "a cautious guess" for part, found in known.items()}
    if not any(known.values()):
        return "a cautious guess; a rehearsal tells better"
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return f"{said['rows']}; objects {said['objects']}"


def _of_rows(run: Run) -> dict[str, float]:
    backup, copy, verify = (run.ended(name) for name in ("backup", "copy", "verify"))
    if not (backup and copy and verify and (size := backup.get("database_bytes"))):
        return {}
    took = {
        "dump": copy["dump_seconds"],
        "restore": copy["restore_seconds"] + copy["analyze_seconds"],
        "verify": verify["seconds"],
    }
    # A rehearsal of an instant says little; what it says must not be divided by.
    return {name: size / _MEBIBYTE / max(value, 0.01) for name, value in took.items()}


def _of_objects(run: Run) -> dict[str, float]:
    ended = [event for event in run.events if (event.phase, event.event) == ("verify objects", "ended")]
    if not ended or not (size := ended[-1].facts.get("bytes")):
        return {}
    return {"objects": size / _MEBIBYTE / max(ended[-1].seconds or 0.0, 0.01)}


def duration(seconds: float) -> str:
    """Spell a time as people say it."""
    minutes = 60
    if seconds < 2 * minutes:
        return f"about {max(seconds, 1):.0f} s"
    return f"about {seconds / minutes:.0f} min"
