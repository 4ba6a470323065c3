"""`labeler storage compare|copy|verify|switch|rollback`: move the objects to another store, and the way back."""

from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import msgspec
import typer
import uvloop
from rich.console import Console
from rich.filesize import decimal

from labeler_ops.database.commands import dsn
from labeler_ops.database.errors import DatabaseRefused
from labeler_ops.runs import Run, RunError, redacted
from labeler_ops.screen import Screen
from labeler_ops.storage.access import StorageError
from labeler_ops.storage.sides import both, variables

if TYPE_CHECKING:
    from labeler_ops.storage.findings import Report
    from labeler_ops.storage.moving import StorageMove

_FAILED = 1
_NOT_ASKED = 2
_T = TypeVar("_T")

Runs = Annotated[Path, typer.Option(help="Where runs keep their journals, manifests and reports.")]
RunId = Annotated[str, typer.Option("--run", help="The run, as `copy` printed it.")]
Url = Annotated[
    str | None,
    typer.Option("--url", help="The Labeler DB. Default: LABELER_DB_URL and its kin.", show_default=False),
]
WithDatabase = Annotated[
    bool, typer.Option("--database/--no-database", help="Ask the Labeler DB which objects there must be.")
]
Concurrency = Annotated[int, typer.Option(min=1, max=128, help="Objects under way at once.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Write over objects that differ and that this run did not write.")
]
Sample = Annotated[
    float, typer.Option(min=0.001, max=1.0, help="Share of the objects to read; less than 1 only for a repetition.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON, for programs.")]


def _report(screen: Screen, report: "Report", *, as_json: bool = False) -> None:
    """Print a report, and end with exit code 1 when it has a difference."""
    if as_json:
        typer.echo(msgspec.json.encode(report))
    else:
        screen.show(report)
    if not report.same:
        raise typer.Exit(_FAILED)


def register(app: typer.Typer) -> None:
    """Add the commands to `labeler storage`."""
    for command in (compare, copy, verify, switch, rollback):
        app.command()(command)


def compare(url: Url = None, database: WithDatabase = True, runs: Runs = Path("runs"), as_json: AsJson = False) -> None:
    """Compare the database's references and both stores' listings; no object is read, nothing is changed.

    The stores are those of SOURCE_S3_… and TARGET_S3_…. Exit code 1: there is a difference, as there is before a copy.
    """
    with Screen() as screen:
        move = _move(screen, None, url, database, runs)
        _report(screen, _run(move.compare()), as_json=as_json)


def copy(
    url: Url = None,
    database: WithDatabase = True,
    runs: Runs = Path("runs"),
    resume: Annotated[
        str | None, typer.Option(help="Go on with a run, or copy what changed since.", show_default=False)
    ] = None,
    concurrency: Concurrency = 16,
    overwrite: Overwrite = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be copied, and copy nothing.")] = False,
) -> None:
    """Copy every object from SOURCE_S3_… to TARGET_S3_…. The source is only read. Safe to repeat and to resume.

    Exit code 1: an object could not be copied, or the database refers to one that the source does not have.
    """
    with Screen() as screen:
        move = _move(screen, resume, url, database, runs, concurrency=concurrency)
        screen.line(f"run {move.run.id}")
        if dry_run:
            report = _run(move.compare())
            missing, differing = report.counts.get("missing", 0), report.counts.get("differs", 0)
            _report(screen, report.without("missing", "differs", "extra"))
            screen.line(f"would copy {missing:,} objects, and look at {differing:,} that differ; nothing was done")
            return
        hint = f"after mending it: `labeler storage copy --resume {move.run.id}`"
        copies, report = _run(move.copy(overwrite=overwrite), hint)
        screen.line(
            f"copied {copies.copied:,} objects, {decimal(copies.copied_bytes)}; {copies.known:,} were done already, "
            f"{copies.equal:,} were there and are equal; {report.retries:,} requests were tried again"
        )
        _report(screen, report)
        screen.line(f"next: `labeler storage verify --run {move.run.id}`")


def verify(
    run: RunId,
    url: Url = None,
    database: WithDatabase = True,
    runs: Runs = Path("runs"),
    concurrency: Concurrency = 16,
    sample: Sample = 1.0,
    as_json: AsJson = False,
) -> None:
    """Read every object of both stores and compare bytes, size, content type, headers and metadata.

    Exit code 1: a difference; each is named, all of them in verify.findings.jsonl of the run.
    """
    with Screen() as screen:
        move = _move(screen, run, url, database, runs, concurrency=concurrency)
        _report(screen, _run(move.verify(sample=sample)), as_json=as_json)
        if not as_json:
            screen.line(f"next: `labeler storage switch --run {run}`")


def switch(run: RunId, runs: Runs = Path("runs")) -> None:
    """Write the environment with which the services use the target. Needs a verify that found no difference."""
    with Screen() as screen:
        move = _move(screen, run, None, False, runs)
        try:
            path = move.switch()
        except RunError as error:
            _fail(str(error))
        screen.line(f"the new environment is in {path} (it holds the secret key: only you may read it).")
        screen.line("Set on every service, and deploy:")
        for name, value in variables(move.target).items():
            screen.console.print(f"  {name}={'(in the file)' if 'KEY' in name else value}", markup=False)
        screen.line(
            "S3_PUBLIC_ENDPOINT, where it is set, is the target's from now on. CORS rules: `labeler storage init`"
        )
        screen.line(f"the way back: `labeler storage rollback --run {run}`")


def rollback(
    run: RunId,
    url: Url = None,
    database: WithDatabase = True,
    runs: Runs = Path("runs"),
    concurrency: Concurrency = 16,
    overwrite: Overwrite = False,
    sample: Sample = 1.0,
) -> None:
    """Copy back what came to the target since the switch, compare, and write the old environment.

    Nothing else on the source is changed, and nothing is removed from either side.
    """
    with Screen() as screen:
        move = _move(screen, run, url, database, runs, concurrency=concurrency)
        copies, report, path = _run(move.rollback(overwrite=overwrite, sample=sample))
        screen.line(f"copied back {copies.copied:,} objects, {decimal(copies.copied_bytes)}")
        _report(screen, report)
        screen.line(f"the old environment is in {path}: set it on every service, and deploy")


def _move(
    screen: Screen, run_id: str | None, url: str | None, database: bool, runs: Path, **options: Any
) -> "StorageMove":
    from labeler_ops.storage.moving import StorageMove  # the S3 library takes its time to load

    where = dsn(url) if database else None
    try:
        sides = both()
        if run_id is None:
            return StorageMove.begin(runs, *sides, where, screen, **options)
        return StorageMove(Run.resume(runs, run_id), *sides, where, screen, **options)
    except StorageError as error:
        _fail(str(error), _NOT_ASKED)
    except RunError as error:
        _fail(str(error))


def _run(work: Coroutine[Any, Any, _T], hint: str = "") -> _T:
    try:
        return uvloop.run(work)
    except (DatabaseRefused, RunError, StorageError, ExceptionGroup) as error:
        cause = _first(error)
        if not isinstance(cause, DatabaseRefused | RunError | StorageError):
            raise
        _fail("\n".join(filter(None, (str(cause), hint))))


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _fail(text: str, code: int = _FAILED) -> NoReturn:
    Console(stderr=True, soft_wrap=True).print(redacted(text), markup=False)
    raise typer.Exit(code) from None
