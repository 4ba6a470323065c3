"""What the phases of a move tell a person on a terminal."""

from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from labeler_ops.database.move.preflight import Finding
from labeler_ops.database.verify.report import Report
from labeler_ops.runs import redacted

_MARKS = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "refused": "[red]refused[/]"}


class Screen:
    """The phases' voice on a terminal."""

    def __init__(self) -> None:
        self.console = Console(soft_wrap=True, highlight=False)
        self._bar = Progress(*Progress.get_default_columns(), console=Console(stderr=True), transient=True)
        self._task: TaskID | None = None

    def __enter__(self) -> "Screen":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def line(self, text: str) -> None:
        """Print a line; a phase's bar is over with it."""
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        self.console.print(redacted(text), markup=False)

    def progress(self, done: int, total: int) -> None:
        """Move the bar."""
        if self._task is None:
            self._task = self._bar.add_task("at work", total=None)
        self._bar.update(self._task, completed=min(done, total), total=total or None)

    def findings(self, findings: list[Finding]) -> None:
        """Print what the preflight found."""
        grid = Table(box=None, show_header=False, pad_edge=False)
        for finding in findings:
            grid.add_row(_MARKS[finding.verdict], finding.name, redacted(finding.text))
        self.console.print(grid)

    def report(self, report: Report) -> None:
        """Print a comparison."""
        report.show(self.console)
