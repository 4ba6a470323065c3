"""`labeler storage sweep`: the API's own sweep, run by hand, and its report for people."""

from contextlib import AsyncExitStack
from datetime import timedelta

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from labeler_api.settings import Settings
from labeler_api.storage.sweep import Sweep, SweepReport
from labeler_ops.storage.tying import both_sides


async def run_sweep(settings: Settings, *, hours: float, remove: bool) -> SweepReport:
    """Sweep both buckets. Raises AppError when the store or the database is away."""
    async with AsyncExitStack() as stack:
        sides = await both_sides(settings, stack)
        return await Sweep(sides.db, sides.objects, settings, minimum_age=timedelta(hours=hours)).run(remove=remove)


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
    done = f"{total:,} would be removed; run it without --dry-run" if dry_run else f"{report.removed:,} removed"
    console.print(f"{report.examined:,} objects examined, {done if total else 'none of them orphaned'}.")
