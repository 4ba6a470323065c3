"""How long the phases of a move would take: from the sizes, and the rates of the last move that was made."""

from pathlib import Path

import msgspec

from labeler_ops.connecting import connected
from labeler_ops.database.own_objects import OWN_RELATIONS
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


async def estimate(source: str | None, object_bytes: int, runs: Path) -> Estimate:
    """Look at the sizes, and reckon with the rates of the last move in `runs`, such as a rehearsal."""
    rates, rates_of = _rates(runs)
    seconds = dict.fromkeys(("objects, first pass", "verify objects"), object_bytes / _MEBIBYTE / rates["objects"])
    lines: list[str] = []
    if source is not None:
        size, lines = await _sizes(source)
        took = {name: size / _MEBIBYTE / rates[name] for name in ("dump", "restore", "verify")}
        copy = took["dump"] + took["restore"]
        seconds |= {"backup": copy + took["verify"], "copy": copy, "verify": took["verify"]}
    return Estimate(lines, {name: round(value, 1) for name, value in seconds.items()}, rates_of)


async def _sizes(source: str) -> tuple[int, list[str]]:
    async with connected(source) as connection:
        size = await connection.fetchval(_SIZE)
        tables = await connection.fetch(_SIZES)
    lines = [f"the source has {len(tables)} tables and {size / _MEBIBYTE:,.1f} MiB; the largest:"]
    return size, lines + [
        f"  {row['name']}: about {row['rows']:,} rows, {row['bytes'] / _MEBIBYTE:,.1f} MiB"
        for row in tables[:_SHOWN_TABLES]
    ]


def _rates(runs: Path) -> tuple[dict[str, float], str]:
    for journal in sorted(runs.glob("*-move-*/journal.jsonl"), reverse=True):
        run = Run.read(journal.parent)
        if rates := _of_rows(run) | _of_objects(run):
            return _RATES | rates, f"as in run {run.id}"
    return _RATES, "a cautious guess; a rehearsal tells better"


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
