"""`labeler storage sweep`: the API's own sweep, run by hand, and its report for people."""

from contextlib import AsyncExitStack
from datetime import timedelta

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from labeler_api.settings import Settings
from labeler_api.storage.orphans.sweep import Sweep, SweepReport
from labeler_ops.storage.bucket_tie import open_tie


async def run_sweep(settings: Settings, *, hours: float, remove: bool, allowed: int | None = None) -> SweepReport:
    """Sweep both buckets. Raises AppError when the store or the database is away, or the two are no pair."""
    async with AsyncExitStack() as stack:
        sides = await open_tie(settings, stack)
        walk = Sweep(sides.db, sides.objects, settings, minimum_age=timedelta(hours=hours))
        return await walk.run(remove=remove, allowed=allowed)


def show(report: SweepReport, console: Console, *, dry_run: bool) -> None:
    """Print a table of what was found, and the first few by name."""
    if report.found:
        table = Table("orphaned because", box=None, pad_edge=False)
        table.add_column("objects", justify="right")
        table.add_column("size", justify="right")
        for reason, found in sorted(report.found.items()):
            table.add_row(reason, f"{found.objects:,}", decimal(found.size_bytes))
        console.print(table)
        for example in report.examples:
            console.print(f"  {example}", markup=False, highlight=False, soft_wrap=True)
    total = sum(found.objects for found in report.found.values())
    if len(report.examples) < total:
        console.print(f"  … and {total - len(report.examples):,} more")
    console.print(f"{report.examined:,} objects examined, {_outcome(report, total, dry_run=dry_run)}.", highlight=False)
    if report.stopped is not None:
        console.print(f"Stopped: {report.stopped}", markup=False, highlight=False, soft_wrap=True)


def _outcome(report: SweepReport, total: int, *, dry_run: bool) -> str:
    if not total:
        return "none of them orphaned"
    if dry_run:
        return f"{total:,} orphans found; --remove lists them, and removes those that it listed 7 days ago or earlier"
    waiting = f", {report.waiting:,} wait until {report.next_at:%Y-%m-%d %H:%M} UTC or later" if report.next_at else ""
    return f"{report.listed:,} orphans newly listed, {report.removed:,} removed{waiting}"
