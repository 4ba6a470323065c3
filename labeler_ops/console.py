"""Reports long work on a terminal: lines, one bar at a time, and reports."""

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from labeler_ops.reporter import Shown
from labeler_ops.runs import redacted

MARKS = {"ok": "[green]ok[/green]", "note": "[yellow]note[/yellow]", "wrong": "[red]wrong[/red]"}
"""How the levels of what a check saw are printed."""


class ConsoleReporter:
    """A context manager: the bar goes away with it. `errors`: its lines go to standard error, as the bar does."""

    def __init__(self, *, errors: bool = False) -> None:
        self.console = Console(stderr=errors, soft_wrap=True, highlight=False)
        bar = self.console if errors else Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[done]}"),
        )
        self._bar = Progress(*columns, TimeRemainingColumn(), console=bar, transient=True)
        self._task: TaskID | None = None
        self._objects = self._bytes = 0

    def __enter__(self) -> "ConsoleReporter":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def line(self, text: str) -> None:
        """Print a line; a phase's bar is over with it."""
        self._over()
        self.console.print(redacted(text), markup=False)

    def progress(self, done: int, total: int) -> None:
        """Move the bar."""
        if self._task is None:
            self.begin("at work")
        if self._task is not None:
            self._bar.update(self._task, completed=min(done, total), total=total or None)

    def begin(self, what: str, size: int | None = None) -> None:
        """Start a bar for a number of bytes."""
        self._over()
        self._objects = self._bytes = 0
        self._task = self._bar.add_task(what, total=size, done="")

    def done(self, objects: int, size: int) -> None:
        """Move the bar by a number of objects and bytes."""
        self._objects, self._bytes = self._objects + objects, self._bytes + size
        if self._task is not None:
            said = f"{self._objects:,} objects, {decimal(self._bytes)}"
            self._bar.update(self._task, completed=self._bytes, done=said)

    def show(self, what: Shown) -> None:
        """Print something that knows how."""
        self._over()
        what.show(self.console)

    def _over(self) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
