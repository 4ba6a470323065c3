"""What a move would do and how long it would take: what `migrate --dry-run` says after the preflight."""

from pathlib import Path

import asyncpg
import msgspec

from labeler_ops.runs import Run

# MiB of database a second: what two cores and a local disk do at least; over a network the line is the limit.
_RATES = {"dump": 120.0, "restore": 45.0, "verify": 80.0}
_MEBIBYTE = 2**20
_SHOWN_TABLES = 5
_SIZES = """
    SELECT c.oid::regclass::text AS name, greatest(c.reltuples, 0)::bigint AS rows,
           pg_total_relation_size(c.oid) AS bytes
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 3 DESC
"""
_SIZE = "SELECT pg_database_size(current_database())"


class Plan(msgspec.Struct, frozen=True):
    """Sizes of the source, in bytes, and expected seconds per phase. `rates_of` says where the rates come from."""

    bytes: int
    tables: list[tuple[str, int, int]]
    seconds: dict[str, float]
    rates_of: str

    def lines(self, legacy_timezone: str = "UTC") -> list[str]:
        """Say it."""
        said = [f"the source has {len(self.tables)} tables and {self.bytes / _MEBIBYTE:,.1f} MiB; the largest:"]
        said += [
            f"  {name}: about {rows:,} rows, {size / _MEBIBYTE:,.1f} MiB"
            for name, rows, size in self.tables[:_SHOWN_TABLES]
        ]
        took = {name: f"about {_duration(seconds)}" for name, seconds in self.seconds.items()}
        return [
            *said,
            "then, in order:",
            f"  backup        {took['backup']}, with its restore drill; users work",
            "  maintenance   users read only from here on",
            f"  copy          {took['copy']}",
            f"  verify        {took['verify']}",
            f"  upgrade       only for a source of before; its server's times are read as {legacy_timezone}",
            "  switch        writes the new environment; the target is closed until `open`",
            "  deploy, smoke, open   by --deploy and --smoke-url, or by hand",
            f"users could not write for {took['stop']}, and for as long as the deployment takes ({self.rates_of})",
            "nothing was changed",
        ]


async def plan(source: str, runs: Path) -> Plan:
    """Look at the sizes, and reckon with the rates of the last move in `runs`, such as a rehearsal."""
    connection = await asyncpg.connect(source, timeout=20)
    try:
        size = await connection.fetchval(_SIZE)
        tables = [(row["name"], row["rows"], row["bytes"]) for row in await connection.fetch(_SIZES)]
    finally:
        await connection.close(timeout=5)
    rates, rates_of = _rates(runs)
    took = {name: size / _MEBIBYTE / rate for name, rate in rates.items()}
    copy = took["dump"] + took["restore"]
    seconds = {
        "backup": copy + took["verify"],
        "copy": copy,
        "verify": took["verify"],
        "stop": copy + took["verify"],
    }
    return Plan(size, tables, {name: round(value, 1) for name, value in seconds.items()}, rates_of)


def _rates(runs: Path) -> tuple[dict[str, float], str]:
    for journal in sorted(runs.glob("*-move-*/journal.jsonl"), reverse=True):
        run = Run.read(journal.parent)
        backup, copy, verify = (run.ended(name) for name in ("backup", "copy", "verify"))
        if backup and copy and verify and (size := backup.get("database_bytes")):
            took = {
                "dump": copy["dump_seconds"],
                "restore": copy["restore_seconds"] + copy["analyze_seconds"],
                "verify": verify["seconds"],
            }
            # A rehearsal of an instant says little; what it says must not be divided by.
            return {name: size / _MEBIBYTE / max(value, 0.01) for name, value in took.items()}, f"as in run {run.id}"
    return _RATES, "a cautious guess; a rehearsal tells better"


def _duration(seconds: float) -> str:
    minutes = 60
    if seconds < 2 * minutes:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / minutes:.0f} min"
