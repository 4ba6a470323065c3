"""`labeler maintenance on|off|status`: stop all writing to a Labeler DB, and allow it again."""

import getpass
from typing import Annotated

import typer
from rich.console import Console

from labeler_ops.command_result import AsJson, print_json, run_or_exit
from labeler_ops.database.commands import Url, dsn
from labeler_ops.maintenance import fence
from labeler_ops.maintenance.fence import State

app = typer.Typer(no_args_is_help=True)

Wait = Annotated[float, typer.Option(min=0, help="Seconds to wait for transactions that are at work.")]


@app.command()
def on(
    url: Url = None,
    reason: Annotated[str, typer.Option(help="What users are told.")] = "The labeler is being moved.",
    wait: Wait = 60.0,
    as_json: AsJson = False,
) -> None:
    """Refuse every write from now on; returns when no write is left. Reading goes on."""
    _show(run_or_exit(lambda: fence.on(dsn(url), reason=reason, by=getpass.getuser(), patience=wait)), as_json)


@app.command()
def off(url: Url = None, wait: Wait = 60.0, as_json: AsJson = False) -> None:
    """Allow writing again."""
    _show(run_or_exit(lambda: fence.off(dsn(url), by=getpass.getuser(), patience=wait)), as_json)


@app.command()
def status(url: Url = None, as_json: AsJson = False) -> None:
    """Say whether writing is refused, since when and why, and who is writing."""
    _show(run_or_exit(lambda: fence.status(dsn(url))), as_json)


def _show(state: State, as_json: bool) -> None:
    if as_json:
        print_json(state)
        return
    console = Console(soft_wrap=True, highlight=False)
    since = f" since {state.since:%Y-%m-%d %H:%M:%S} UTC, by {state.changed_by}" if state.since else ""
    console.print(f"maintenance mode: {state.mode}{since}", markup=False)
    if state.mode == "on" and state.reason:
        console.print(f"reason: {state.reason}", markup=False)
    said = "nothing can be written" if state.stands else f"{state.fenced} of {state.tables} tables"
    console.print(f"fence: {said if state.fenced else 'none; writing is possible'}", markup=False)
    for writer in state.writers:
        console.print(f"writing now: {writer}", markup=False)
