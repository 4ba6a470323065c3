"""The phase `upgrade` of a move: what it did to the rows is part of the run, and much of it needs a yes."""

from typing import Any

import msgspec

from labeler_api.migrations import HEAD
from labeler_ops.database.upgrade_report import UpgradeReport
from labeler_ops.errors import DatabaseError
from labeler_ops.reporter import Reporter
from labeler_ops.runs import Run

UTC = "UTC"
REPORT = "upgrade.report.json"
"""Where a run keeps the report of its upgrade."""

ACCEPT = "--accept-quarantine"
# Old data has a few rows that belong to nothing. One in a hundred of a table is more than a few: it is looked at first.
_FEW = 0.01
_MOVES = ("quarantined", "merged", "changed", "added")


async def upgrade_copy(run: Run, target: str, before: str, legacy_timezone: str, reporter: Reporter) -> dict[str, Any]:
    """Upgrade the copy, keep the report, say what became of the rows; the sums by what was done."""
    from labeler_ops.database.upgrade import last_report, upgrade  # Alembic takes most of a second to load

    notes = (await upgrade(target, legacy_timezone=legacy_timezone)).notes
    report = await last_report(target, before)
    report.notes.extend(notes)
    run.write(REPORT, report)
    reporter.line(f"schema: {before} to {HEAD}; times of the server were read as {legacy_timezone}")
    for line in lines(report):
        reporter.line(line)
    if not report.even:
        raise DatabaseError("the upgrade lost rows that it does not account for: see report.txt")
    return {move: sum(getattr(rows, move) for rows in report.tables.values()) for move in _MOVES}


def read(run: Run) -> UpgradeReport | None:
    """The report of a run's upgrade; None where nothing was upgraded."""
    path = run.path(REPORT)
    return msgspec.json.decode(path.read_bytes(), type=UpgradeReport) if path.is_file() else None


def lines(report: UpgradeReport) -> list[str]:
    """Say what became of the rows: those set aside with their reason and where they are, then the repaired ones."""
    said = [f"note: {note}" for note in report.notes]
    for action in _MOVES:
        for step in report.steps:
            if step.action == action:
                place = f" (in quarantine_{step.table})" if action == "quarantined" else ""
                said.append(
                    f"{action}: {step.rows:,} {'row' if step.rows == 1 else 'rows'} of {step.table}: {step.rule}{place}"
                )
    return said


def require_few_set_aside(run: Run) -> None:
    """Raise DatabaseError where the upgrade put more than a few rows of a table into quarantine."""
    report = read(run)
    many = [
        f"{rows.quarantined:,} of {rows.before:,} {name}"
        for name, rows in (report.set_aside if report else {}).items()
        if rows.quarantined > rows.before * _FEW
    ]
    if many:
        raise DatabaseError(
            f"the upgrade set aside more than 1 % of a table: {'; '.join(many)}. They are in the tables quarantine_… "
            "of the target, each with its reason (report.txt has the sums). Look at them, users read meanwhile; then "
            f"`labeler move resume {ACCEPT}`, or go back with `labeler move rollback`"
        )
