"""`labeler move …`: everything to another place, in one run with one journal, and the way back."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from labeler_ops.command_result import FAILED, exit_with_error, run_or_exit
from labeler_ops.console import ConsoleReporter
from labeler_ops.database.commands import dsn
from labeler_ops.move import environment_files, move_report
from labeler_ops.move.cli_options import (
    EndpointOptions,
    ExecutionOptions,
    PlanOptions,
    RunSelector,
    RunsOption,
    with_option_structs,
)
from labeler_ops.move.context import KIND, Mode, MoveContext, MovePlan, Part, RunOptions, plan_of
from labeler_ops.move.estimate import duration, estimate, seconds_without_writes
from labeler_ops.move.replication.database_pair import ReplicationStatus, drop_everything, replication_status
from labeler_ops.move.workflow import NAMES, MoveWorkflow
from labeler_ops.runs import Run, RunError, endpoint_name

app = typer.Typer(no_args_is_help=True)

Until = Annotated[str | None, typer.Option(help="Stop after this phase.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON, for programs.")]
_OVER = ("finalize", "rollback")
_TOUCHED = ("read only", "tables")
"""Phases that leave something on a server, which a second run would meet."""


@app.callback()
def move() -> None:
    """Move the databases and the objects to another place, and back. `check` changes nothing."""


@app.command()
@with_option_structs
def check(places: EndpointOptions, planned: PlanOptions, runs: RunsOption, execution: ExecutionOptions) -> None:
    """Look at both sides, say what would be done and how long it would take. Exit code 1: it would be refused."""
    plan = planned.plan()
    endpoints, options = places.endpoints(plan), execution.run_options(plan.database)
    # A run of a moment, on the disk that a real one would write to.
    kept = next(path for path in (runs.runs, *runs.runs.absolute().parents) if path.is_dir())
    directory = Path(tempfile.mkdtemp(prefix="labeler-check-", dir=kept))
    try:
        with ConsoleReporter() as reporter:
            workflow = MoveWorkflow(MoveContext.begin(directory, plan, endpoints, reporter, options))
            run_or_exit(lambda: _look(workflow, runs.runs, reporter))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@app.command()
@with_option_structs
def run(
    places: EndpointOptions, planned: PlanOptions, runs: RunsOption, execution: ExecutionOptions, until: Until = None
) -> None:
    """Begin a move, and do all of it: with --smoke-url to its end, else up to the switch. Stops at the first doubt."""
    plan = planned.plan()
    endpoints, options = places.endpoints(plan), execution.run_options(plan.database)
    if until is not None and until not in NAMES:
        exit_with_error(f"--until: expected one of {', '.join(NAMES)}")
    with ConsoleReporter() as reporter:
        _require_none(runs.runs, endpoints.places)
        context = MoveContext.begin(runs.runs, plan, endpoints, reporter, options)
        _go(MoveWorkflow(context), reporter, until)


@app.command()
@with_option_structs
def resume(places: EndpointOptions, which: RunSelector, execution: ExecutionOptions, until: Until = None) -> None:
    """Go on with a move that was cut off, or stopped."""
    with ConsoleReporter() as reporter:
        _go(_workflow(places, which, reporter, execution), reporter, until)


def _go(workflow: MoveWorkflow, reporter: ConsoleReporter, until: str | None) -> None:
    reporter.line(f"run {workflow.run.id}")
    again = f"after mending it: labeler move resume --run {workflow.run.id}"
    asked = workflow.context.options.deployment
    if asked.deploy or asked.url:
        again += ", with --deploy, --smoke-url and --smoke-email as now"
    run_or_exit(lambda: workflow.run_forward(until=until), hint=again)
    _next(workflow, reporter)


@app.command()
@with_option_structs
def status(places: EndpointOptions, which: RunSelector, as_json: AsJson = False) -> None:
    """Say how far a move is; nothing is touched. By logical replication also what each side is behind.

    Exit code 1: somebody should look.
    """
    run = _found(which, places, over=True)
    found = move_report.read(run)
    flows = _flows(places, run) if places.source and places.target else None
    if as_json:
        typer.echo(msgspec.json.encode({"report": found, "flows": flows}))
    else:
        console = Console(soft_wrap=True, highlight=False)
        console.print(move_report.text(found), markup=False, end="")
        for line in (*flows.lines, *flows.warnings) if flows else ():
            console.print(line, markup=False)
    if flows and flows.warnings:
        raise typer.Exit(FAILED)


def _flows(places: EndpointOptions, run: Run) -> ReplicationStatus | None:
    plan = plan_of(run)
    rows = places.endpoints(plan).databases if plan.mode is Mode.LOGICAL else None
    return None if rows is None else run_or_exit(lambda: replication_status(rows))


@app.command("open")
@with_option_structs
def open_target(places: EndpointOptions, which: RunSelector, execution: ExecutionOptions) -> None:
    """Let users write on the new side, once the services use it and have been looked at; then fill in what lacks."""
    with ConsoleReporter() as reporter:
        workflow = _workflow(places, which, reporter, execution)
        run_or_exit(workflow.open, hint="after mending it: the same command once more")
        _next(workflow, reporter)


@app.command()
@with_option_structs
def rollback(
    places: EndpointOptions,
    which: RunSelector,
    execution: ExecutionOptions,
    into: Annotated[
        str | None,
        typer.Option(
            envvar="ROLLBACK_DATABASE_URL",
            help="An empty database for everything that the target holds, once it was open.",
            show_default=False,
        ),
    ] = None,
    leftovers: Annotated[
        bool, typer.Option("--leftovers", help="Drop what replication left on both sides, of a run that is not here.")
    ] = False,
) -> None:
    """Go back with nothing lost: to the source, or, after the target was opened, with all that was written there.

    Given again after it was cut off, it goes on where it was.
    """
    with ConsoleReporter() as reporter:
        if leftovers:
            rows = places.rows()
            run_or_exit(lambda: drop_everything(rows, reporter))
            reporter.line("what replication left was dropped, and no fence was touched")
            return
        workflow = _workflow(places, which, reporter, execution)
        empty = dsn(into, "--into") if into else None
        run_or_exit(lambda: workflow.rollback(empty), hint="after mending it: the same command once more")
        if workflow.run.ended("back: deploy") is None:
            path = workflow.run.path(environment_files.ROLLBACK)
            reporter.line(f"set on every service, and deploy: {', '.join(environment_files.names(path))}, from {path}")


@app.command()
@with_option_structs
def finalize(
    places: EndpointOptions,
    which: RunSelector,
    unproven: Annotated[
        bool, typer.Option("--unproven", help="Although the rows were not found the same after the opening.")
    ] = False,
) -> None:
    """Give up the way back: the source's fence is taken down, and the source may be archived or dropped."""
    with ConsoleReporter() as reporter:
        workflow = _workflow(places, which, reporter, ExecutionOptions())
        run_or_exit(lambda: workflow.finalize(unproven=unproven))
        reporter.line("the move is final. Keep the backup of the run; the source may go")


async def _look(workflow: MoveWorkflow, runs: Path, reporter: ConsoleReporter) -> None:
    found = await workflow.check()
    reporter.show(found)
    databases, plan = workflow.context.endpoints.databases, workflow.context.plan
    told = await estimate(databases.source if databases else None, workflow.object_bytes(), runs, plan.database)
    for line in told.lines:
        reporter.line(line)
    reporter.line("then, in order:")
    phases = workflow.phases(by_hand=True)
    for phase in phases:
        took = f" ({duration(told.seconds[phase.name])})" if phase.name in told.seconds else ""
        reporter.line(f"  {phase.name:20} {phase.description}{took}")
    stop = seconds_without_writes(told, [phase.name for phase in phases])
    reporter.line(
        f"users could not write for {duration(stop)}, and for as long as the deployment takes ({told.rates_of})"
    )
    reporter.line("nothing was changed")
    if found.refused:
        raise typer.Exit(FAILED)


def _next(workflow: MoveWorkflow, reporter: ConsoleReporter) -> None:
    """Say what is left to a person, as commands to copy."""
    run, directory = workflow.run, workflow.run.directory
    reporter.line(f"the report is in {directory}")
    if run.ended("open") is not None:
        reporter.line("the new side is open. The way back is `labeler move rollback`, until `labeler move finalize`")
        rows_moved = workflow.context.plan.database == "labeler" and workflow.context.plan.only is not Part.OBJECTS
        if rows_moved and run.ended("backfill") is None:
            reporter.line("next, with the services' environment: labeler images backfill, labeler storage check")
        return
    if run.ended("switch") is None:
        reporter.line(f"next: labeler move resume --run {run.id}")
        return
    reporter.line("next:")
    if run.ended("deploy") is None:
        path = directory / environment_files.NEW
        reporter.line(f"  deploy with the variables of {path}: {', '.join(environment_files.names(path))}")
    if workflow.context.plan.database == "labeler":
        reporter.line("  labeler smoke --url https://… --email … --read-only")
    reporter.line(f"  labeler move open --run {run.id}")


def _workflow(
    endpoints: EndpointOptions, which: RunSelector, reporter: ConsoleReporter, execution: ExecutionOptions
) -> MoveWorkflow:
    found = _found(which, endpoints)
    plan: MovePlan = plan_of(found)
    options: RunOptions = execution.run_options(plan.database)
    try:
        return MoveWorkflow(MoveContext.resume(found, endpoints.endpoints(plan), reporter, options))
    except RunError as error:
        exit_with_error(str(error))


def _found(which: RunSelector, endpoints: EndpointOptions, *, over: bool = False) -> Run:
    """The run that is named, else the last one of the given databases; one that is over only to be looked at."""
    try:
        if which.run is not None:
            return Run.resume(which.runs, which.run)
        going = [one for one in _moves(which.runs) if over or all(one.ended(end) is None for end in _OVER)]
        if not going:
            raise RunError(f"there is no move in {which.runs}{'' if over else ' that is not over'}: labeler move run")
        return Run.resume(which.runs, (_between(going, endpoints) or going)[-1].id)
    except RunError as error:
        exit_with_error(str(error))


def _between(going: list[Run], endpoints: EndpointOptions) -> list[Run]:
    """The runs of the databases that are given: each of the three has a run of its own, in the same directory."""
    urls = {"source": (endpoints.source, "--source"), "target": (endpoints.target, "--target")}
    given = {name: endpoint_name(dsn(url, option)) for name, (url, option) in urls.items() if url}
    return [one for one in going if given.items() <= one.facts.items()]


def _moves(runs: Path) -> list[Run]:
    return [Run.read(journal.parent) for journal in sorted(runs.glob(f"*-{KIND}-*/journal.jsonl"))]


def _require_none(runs: Path, places: dict[str, str]) -> None:
    """Refuse to begin while an older run between the same places has left something there."""
    for one in _moves(runs):
        going = all(one.ended(end) is None for end in _OVER) and any(one.began(phase) for phase in _TOUCHED)
        if going and {name: one.facts.get(name) for name in places} == places:
            exit_with_error(
                f"run {one.id} of these ends is not over: labeler move resume --run {one.id}, or "
                f"labeler move rollback --run {one.id} to give it up"
            )
