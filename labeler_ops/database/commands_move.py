"""`labeler db migrate` and what belongs to it: move a database to another server, and the way back."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console

from labeler_api.db.failures import FAILURES
from labeler_ops.database import zones
from labeler_ops.database.commands import dsn
from labeler_ops.database.errors import DatabaseRefused
from labeler_ops.database.launching import DeployCommand, Launch, SmokeEmail, SmokeUrl, Wait, launched, next_commands
from labeler_ops.database.move import report, upgrading
from labeler_ops.database.move.migration import Migration
from labeler_ops.database.move.plan import plan
from labeler_ops.database.move.preflight import Finding, Findings
from labeler_ops.database.move.preflight import preflight as look_for_dump
from labeler_ops.database.replication import modes
from labeler_ops.database.replication.options import CompareAfter, Mode, ModeOption, Reverse, SourceSeen, TargetSeen
from labeler_ops.database.replication.sides import Urls
from labeler_ops.database.roles import Database
from labeler_ops.move import lock
from labeler_ops.runs import RunError, redacted
from labeler_ops.screen import Screen

_FAILED = 1
_T = TypeVar("_T")

Source = Annotated[str, typer.Option(envvar="SOURCE_DATABASE_URL", help="The database that is moved.")]
Target = Annotated[str, typer.Option(envvar="TARGET_DATABASE_URL", help="An empty database that it is moved to.")]
Runs = Annotated[Path, typer.Option(help="Where runs keep their journals, backups and reports.")]
RunId = Annotated[str, typer.Option("--run", help="The run, as `migrate` printed it.")]
Resume = Annotated[str | None, typer.Option(help="Go on with a run that was cut off.", show_default=False)]
Jobs = Annotated[int, typer.Option(min=1, max=64, help="Connections of a dump or a restore.")]
Which = Annotated[Database, typer.Option("--database", help="Which of the three it is.")]
Zone = Annotated[
    str | None,
    typer.Option(
        zones.OPTION,
        envvar=zones.VARIABLE,
        help="Zone of the server whose now() filled in times, for a source of before. UTC where none is named.",
        show_default=False,
    ),
]
Accept = Annotated[
    bool, typer.Option(upgrading.ACCEPT, help="Go on although the upgrade set aside more than 1 % of a table.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Look, say what would be done, and do nothing.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `labeler db`."""
    for command in (preflight, backup, copy, switch, migrate, open_target, rollback, finalize):
        app.command(name=command.__name__.removesuffix("_target"))(command)


def preflight(
    source: Source,
    target: Target,
    runs: Runs = Path("runs"),
    mode: ModeOption = Mode.DUMP,
    source_seen: SourceSeen = None,
    target_seen: TargetSeen = None,
    reverse: Reverse = True,
    database: Which = "labeler",
    legacy_timezone: Zone = None,
) -> None:
    """Look whether the source can be moved to the target; nothing is changed."""
    _look(_urls(source, target, source_seen, target_seen), runs, mode, reverse, database, legacy_timezone)


def _look(urls: Urls, runs: Path, mode: Mode, reverse: bool, database: Database, zone: str | None) -> None:
    async def findings() -> list[Finding]:
        if mode is Mode.DUMP:
            return await look_for_dump(
                urls.source, urls.target, runs, database=database, legacy_timezone=zone or upgrading.UTC
            )
        return await modes.preflight(runs, urls, mode, reverse=reverse)

    with Screen() as screen:
        found = _run(findings())
        screen.show(Findings(found))
    if any(finding.verdict == "refused" for finding in found):
        raise typer.Exit(_FAILED)


def backup(
    source: Source,
    target: Target,
    runs: Runs = Path("runs"),
    resume: Resume = None,
    jobs: Jobs = 4,
    database: Which = "labeler",
    dry_run: DryRun = False,
    legacy_timezone: Zone = None,
) -> None:
    """Begin a move with its backup: dumped, hashed, restored on the target's server, compared. Users work on."""
    migrate(
        source,
        target,
        runs=runs,
        resume=resume,
        jobs=jobs,
        until="backup",
        dry_run=dry_run,
        database=database,
        legacy_timezone=legacy_timezone,
    )


def copy(
    source: Source, target: Target, run: RunId, runs: Runs = Path("runs"), jobs: Jobs = 4, dry_run: DryRun = False
) -> None:
    """Go on with a move up to the copy: stop all writing, then dump the source and restore it into the target."""
    migrate(source, target, runs=runs, resume=run, jobs=jobs, until="copy", dry_run=dry_run)


def switch(
    source: Source,
    target: Target,
    run: RunId,
    runs: Runs = Path("runs"),
    jobs: Jobs = 4,
    dry_run: DryRun = False,
    accept_quarantine: Accept = False,
) -> None:
    """Go on with a move up to the switch: compare, upgrade if needed, write the new environment."""
    migrate(
        source,
        target,
        runs=runs,
        resume=run,
        jobs=jobs,
        until="switch",
        dry_run=dry_run,
        accept_quarantine=accept_quarantine,
    )


def migrate(
    source: Source,
    target: Target,
    *,
    runs: Runs = Path("runs"),
    resume: Resume = None,
    jobs: Jobs = 4,
    until: Annotated[str, typer.Option(help="Stop after this phase.")] = "switch",
    dry_run: DryRun = False,
    mode: ModeOption = Mode.DUMP,
    source_seen: SourceSeen = None,
    target_seen: TargetSeen = None,
    reverse: Reverse = True,
    compare_after: CompareAfter = False,
    database: Which = "labeler",
    legacy_timezone: Zone = None,
    accept_quarantine: Accept = False,
    deploy: DeployCommand = None,
    smoke_url: SmokeUrl = None,
    smoke_email: SmokeEmail = None,
    wait: Wait = 900.0,
) -> None:
    """Back up, stop writing, copy, compare, switch; with --deploy and --smoke-url also deploy, look, open, look again.

    Stops at the first doubt; safe to resume.
    """
    urls = _urls(source, target, source_seen, target_seen)
    if database != "labeler" and (mode is Mode.LOGICAL or smoke_url):
        _fail(f"--database {database} is moved by --mode dump, and opened by hand: --smoke-url is the Labeler DB's")
    launch = Launch.asked(deploy, smoke_url, smoke_email, wait)
    if dry_run:
        _plan(urls, runs, resume, mode, reverse, database, legacy_timezone)
        return
    with Screen() as screen:
        try:
            move = (
                modes.existing(runs, resume, urls, screen, jobs=jobs, compare_after=compare_after)
                if resume
                else Migration.begin(
                    runs,
                    urls.source,
                    urls.target,
                    screen,
                    jobs=jobs,
                    database=database,
                    legacy_timezone=legacy_timezone or upgrading.UTC,
                )
                if mode is Mode.DUMP
                else modes.begin(runs, urls, screen, mode, jobs=jobs, reverse=reverse, compare_after=compare_after)
            )
        except RunError as error:
            _fail(str(error))
        if until not in move.phases:
            _fail(f"--until: expected one of {', '.join(move.phases)}")
        if isinstance(move, Migration):
            move.accept_quarantine = accept_quarantine
            if legacy_timezone not in {None, move.legacy_timezone}:
                _fail(f"run {move.run.id} reads the server's times as {move.legacy_timezone}; begin anew for another")

        async def work() -> None:
            await move.migrate(until=until)
            if until == "switch":
                await launched(move, urls.target, launch)

        screen.line(f"run {move.run.id}")
        hint = f"after mending it: the same command with --resume {move.run.id}"
        _run(_alone(move, [urls.target], work), hint=hint)
        for line in next_commands(move.run, until):
            screen.line(line)


def _plan(
    urls: Urls, runs: Path, resume: str | None, mode: Mode, reverse: bool, database: Database, zone: str | None
) -> None:
    if resume:
        try:
            known = report.read(modes.existing(runs, resume, urls, Screen()).run)
        except RunError as error:
            _fail(str(error))
        typer.echo(
            f"run {known.run}: {known.state}; done: {', '.join(known.done()) or 'nothing'}; the rest would follow"
        )
        return
    _look(urls, runs, mode, reverse, database, zone)
    if mode is Mode.LOGICAL:
        typer.echo(modes.PLAN[mode])
        return
    for line in _run(plan(urls.source, runs)).lines(zone or upgrading.UTC):
        typer.echo(line)


def open_target(source: Source, target: Target, run: RunId, runs: Runs = Path("runs"), dry_run: DryRun = False) -> None:
    """Let users write on the target, once the services use it and have been looked at."""
    with Screen() as screen:
        move = _existing(runs, run, source, target, screen)
        if dry_run:
            screen.line(f"run {run}: {report.read(move.run).state}; users would write on the target from then on")
            return
        _run(_alone(move, [dsn(target, "--target")], move.open))
        screen.line("the target is open. The way back is `labeler db rollback`, until `labeler db finalize`")


def rollback(
    source: Source,
    target: Target,
    run: RunId,
    runs: Runs = Path("runs"),
    into: Annotated[
        str | None,
        typer.Option(
            envvar="ROLLBACK_DATABASE_URL",
            help="An empty database for everything that the target holds, once it was open.",
            show_default=False,
        ),
    ] = None,
    jobs: Jobs = 4,
    dry_run: DryRun = False,
    deploy: DeployCommand = None,
    smoke_url: SmokeUrl = None,
    smoke_email: SmokeEmail = None,
    wait: Wait = 900.0,
) -> None:
    """Go back with nothing lost: to the source, or, after the target was opened, to a copy of the target.

    Given again after it was cut off, it goes on where it was.
    """
    with Screen() as screen:
        move = _existing(runs, run, source, target, screen, jobs=jobs)
        empty = dsn(into, "--into") if into else None
        if dry_run:
            _plan_back(move, dsn(target, "--target"), empty, runs, screen)
            return
        asked = Launch.asked(deploy, smoke_url, smoke_email, wait)
        serving = _run(
            _alone(move, [empty] if empty else [], lambda: _back(move, empty, asked), [dsn(target, "--target")]),
            hint="after mending it: the same command once more",
        )
        screen.line(f"{redacted(serving)} serves from now on: {move.variable} of every service has to be it")


async def _back(move: modes.Move, into: str | None, asked: Launch) -> str:
    if into is not None and isinstance(move, Migration):
        return await move.rollback(into, launch=lambda back: launched(back, into, asked))
    serving = await move.rollback(into)
    await launched(move, serving, asked, "environment.rollback", closed=False)
    return serving


def _plan_back(move: modes.Move, target: str, into: str | None, runs: Path, screen: Screen) -> None:
    screen.line(f"run {move.run.id}: {report.read(move.run).state}")
    if into is None:
        screen.line("the source would serve again, if the target was never opened, or follows it; nothing was changed")
        return
    _look(Urls(target, into), runs, Mode.DUMP, True, getattr(move, "database", "labeler"), None)
    for line in _run(plan(target, runs)).lines():
        screen.line(line)


def finalize(source: Source, target: Target, run: RunId, runs: Runs = Path("runs"), dry_run: DryRun = False) -> None:
    """Give up the way back: the source's fence is taken down, and the source may be archived or dropped."""
    with Screen() as screen:
        move = _existing(runs, run, source, target, screen)
        if dry_run:
            screen.line(f"run {run}: {report.read(move.run).state}; the source's fence would be taken down")
            return
        _run(_alone(move, [dsn(target, "--target")], move.finalize))
        screen.line("the move is final. Keep the backup of the run; the source may go")


async def _alone(
    move: modes.Move, urls: Sequence[str], work: Callable[[], Awaitable[_T]], if_there: Sequence[str] = ()
) -> _T:
    """Do something that nobody else may do meanwhile, and write down what became of it."""
    async with lock.alone(move.run.directory, *urls, if_there=if_there):
        move.run.read_again()  # what another did before we were alone
        try:
            return await work()
        finally:
            with suppress(OSError):  # a full disk has said so already
                report.write(move.run)


def _existing(runs: Path, run: str, source: str, target: str, screen: Screen, **options: Any) -> modes.Move:
    try:
        return modes.existing(runs, run, _urls(source, target), screen, **options)
    except RunError as error:
        _fail(str(error))


def _urls(source: str, target: str, source_seen: str | None = None, target_seen: str | None = None) -> Urls:
    return Urls(dsn(source, "--source"), dsn(target, "--target"), source_seen, target_seen)


def _run(work: Coroutine[Any, Any, _T], hint: str = "") -> _T:
    try:
        return asyncio.run(work)
    except (DatabaseRefused, RunError, *FAILURES) as error:
        _fail("\n".join(filter(None, (str(error) or type(error).__name__, hint))))


def _fail(text: str) -> NoReturn:
    Console(stderr=True, soft_wrap=True).print(redacted(text), markup=False)
    raise typer.Exit(_FAILED) from None
