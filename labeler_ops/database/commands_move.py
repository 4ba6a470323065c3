"""`labeler db migrate` and what belongs to it: move a database to another server, and the way back."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from labeler_ops.database.commands import dsn
from labeler_ops.database.errors import DatabaseRefused
from labeler_ops.database.move.migration import Migration
from labeler_ops.database.move.preflight import Finding
from labeler_ops.database.move.preflight import preflight as run_preflight
from labeler_ops.database.verify.report import Report
from labeler_ops.runs import Run, RunError, redacted

_FAILED = 1
_T = TypeVar("_T")
_MARKS = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "refused": "[red]refused[/]"}

Source = Annotated[str, typer.Option(envvar="SOURCE_DATABASE_URL", help="The database that is moved.")]
Target = Annotated[str, typer.Option(envvar="TARGET_DATABASE_URL", help="An empty database that it is moved to.")]
Runs = Annotated[Path, typer.Option(help="Where runs keep their journals, backups and reports.")]
RunId = Annotated[str, typer.Option("--run", help="The run, as `migrate` printed it.")]
Jobs = Annotated[int, typer.Option(min=1, max=64, help="Connections of a dump or a restore.")]


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


def register(app: typer.Typer) -> None:
    """Add the commands to `labeler db`."""
    for command in (preflight, migrate, open_target, rollback, finalize):
        app.command(name=command.__name__.removesuffix("_target"))(command)


def preflight(source: Source, target: Target, runs: Runs = Path("runs")) -> None:
    """Look whether the source can be moved to the target; nothing is changed."""
    with Screen() as screen:
        findings = _run(run_preflight(dsn(source, "--source"), dsn(target, "--target"), runs))
        screen.findings(findings)
    if any(finding.verdict == "refused" for finding in findings):
        raise typer.Exit(_FAILED)


def migrate(
    source: Source,
    target: Target,
    runs: Runs = Path("runs"),
    resume: Annotated[str | None, typer.Option(help="Go on with a run that was cut off.", show_default=False)] = None,
    jobs: Jobs = 4,
    until: Annotated[str, typer.Option(help="Stop after this phase.")] = "switch",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look, say what would be done, and do nothing.")] = False,
) -> None:
    """Back up, stop writing, copy, compare, and write the new environment. Stops at the first doubt; safe to resume."""
    if dry_run:
        preflight(source, target, runs)
        typer.echo("then: backup and its restore drill, maintenance mode, copy, verify, upgrade if needed, switch")
        return
    urls = dsn(source, "--source"), dsn(target, "--target")
    with Screen() as screen:
        try:
            run = Run.resume(runs, resume) if resume else None
            move = Migration(run, *urls, screen, jobs=jobs) if run else Migration.begin(runs, *urls, screen, jobs=jobs)
        except RunError as error:
            _fail(str(error))
        if until not in move.phases:
            _fail(f"--until: expected one of {', '.join(move.phases)}")
        screen.line(f"run {move.run.id}")
        _run(move.migrate(until=until), hint=f"after mending it: the same command with --resume {move.run.id}")
        if until == "switch":
            screen.line(f"next: deploy, `labeler smoke`, then `labeler db open --run {move.run.id}`")


def open_target(source: Source, target: Target, run: RunId, runs: Runs = Path("runs")) -> None:
    """Let users write on the target, once the services use it and have been looked at."""
    with Screen() as screen:
        _run(_existing(runs, run, source, target, screen).open())
        screen.line("the target is open. The way back is `labeler db rollback`, until `labeler db finalize`")


def rollback(
    source: Source,
    target: Target,
    run: RunId,
    runs: Runs = Path("runs"),
    into: Annotated[
        str | None,
        typer.Option(
            help="An empty database for everything that the target holds, once it was open.", show_default=False
        ),
    ] = None,
    jobs: Jobs = 4,
) -> None:
    """Go back with nothing lost: to the source, or, after the target was opened, to a copy of the target."""
    with Screen() as screen:
        move = _existing(runs, run, source, target, screen, jobs=jobs)
        serving = _run(move.rollback(dsn(into, "--into") if into else None))
        screen.line(f"{redacted(serving)} serves from now on: set {move.variable} to it on every service, and deploy")


def finalize(source: Source, target: Target, run: RunId, runs: Runs = Path("runs")) -> None:
    """Give up the way back: the source's fence is taken down, and the source may be archived or dropped."""
    with Screen() as screen:
        _run(_existing(runs, run, source, target, screen).finalize())
        screen.line("the move is final. Keep the backup of the run; the source may go")


def _existing(runs: Path, run: str, source: str, target: str, screen: Screen, **options: Any) -> Migration:
    try:
        urls = dsn(source, "--source"), dsn(target, "--target")
        return Migration(Run.resume(runs, run), *urls, screen, **options)
    except RunError as error:
        _fail(str(error))


def _run(work: Coroutine[Any, Any, _T], hint: str = "") -> _T:
    try:
        return asyncio.run(work)
    except (DatabaseRefused, RunError) as error:
        _fail("\n".join(filter(None, (str(error), hint))))


def _fail(text: str) -> NoReturn:
    Console(stderr=True, soft_wrap=True).print(redacted(text), markup=False)
    raise typer.Exit(_FAILED) from None
