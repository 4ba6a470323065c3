"""The check's report for people."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from labeler_ops.console import MARKS
from labeler_ops.environment.declaration import GROUPS
from labeler_ops.environment.environment_check import Report
from labeler_ops.environment.reading import Row


def show(report: Report, console: Console) -> None:
    """Print every variable, then what is wrong, the connections, and what was seen."""
    by_name = {row.name: row for row in report.variables}
    for group in GROUPS:
        shown = [by_name[text.name] for text in group.texts if text.name in by_name]
        if shown:
            console.print(f"\n[bold]{escape(group.title)}[/bold]", highlight=False, soft_wrap=True)
            console.print(_table(shown))
    if report.embedded_postgres:
        console.print(f"\n`labeler up` would run: {escape(report.embedded_postgres)}", highlight=False, soft_wrap=True)
    _show_connections(report, console)
    if report.probes:
        console.print("\n[bold]What the parts say[/bold]")
        for probe in report.probes:
            console.print(
                f"  {MARKS[probe.level]} {escape(f'{probe.part}, {probe.what}: {probe.text}')}",
                highlight=False,
                soft_wrap=True,
            )
    console.print()
    for problem in report.problems:
        console.print(f"{MARKS[problem.level]} {escape(problem.text)}", highlight=False, soft_wrap=True)
    wrong = [*(one.level for one in report.problems), *(one.level for one in report.probes)].count("wrong")
    said = f"{wrong} wrong" if wrong else "nothing is wrong"
    console.print(
        f"{len(report.variables)} variables for {', '.join(report.services)}: {said}.", highlight=False, soft_wrap=True
    )


def _show_connections(report: Report, console: Console) -> None:
    if report.connections:
        console.print("\n[bold]Connections at most[/bold]")
    for one in report.connections:
        console.print(
            f"  {escape(f'{one.database} ({one.server}): {one.formula} = {one.connections}')}", highlight=False
        )
    for allowance in dict.fromkeys(report.allowances):
        console.print(
            f"  {escape(f'{allowance.server} allows {allowance.allowed} ({allowance.explained})')}",
            highlight=False,
            soft_wrap=True,
        )


def _table(rows: list[Row]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 2), show_header=False)
    table.add_column(no_wrap=True)
    for _ in range(3):
        table.add_column(overflow="fold")
    for row in rows:
        style = {"set": "", "default": "dim", "unset": "dim"}[row.state]
        source = f"not read, {row.overruled_by} wins" if row.overruled_by else row.source
        form = row.form + (f"; default {row.default}" if row.default and row.state == "set" else "")
        table.add_row(row.name, escape(row.value), source, escape(form), style=style)
    return table
