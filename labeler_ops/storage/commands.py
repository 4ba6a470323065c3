"""`labeler storage …`: the buckets."""

import os
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from labeler_ops.command_result import AsJson, print_result, run_or_exit, settings
from labeler_ops.storage.commands_check import check
from labeler_ops.storage.commands_compare import compare, verify
from labeler_ops.storage.commands_tie import adopt

app = typer.Typer(no_args_is_help=True)
app.command()(check)
app.command()(adopt)
app.command()(compare)
app.command()(verify)

_STOPPED = 3


@app.callback()
def storage() -> None:
    """The buckets of the labeler."""


@app.command()
def init(
    seconds: Annotated[float, typer.Option(help="How long to wait for a store that is starting.")] = 60.0,
) -> None:
    """Make both buckets where they are missing, set the CORS rules, and prove a put and a get. Safe to repeat.

    The store is S3_ENDPOINT's, the origins are those of CORS_ORIGINS. Where the environment names the Labeler DB,
    buckets that are empty are tied to it; else the first start of the API does that.
    """
    from labeler_ops.storage.bucket_tie import access_of, stand_in, tied_if_empty
    from labeler_ops.storage.buckets import prepare  # half a second to load, which other commands need not wait for

    console = Console(stderr=True, soft_wrap=True)

    async def work() -> None:
        wanted = settings(stand_in(os.environ))
        access = access_of(wanted)
        with console.status(f"Preparing {access.endpoint}"):
            await prepare(access, origins=wanted.origins, seconds=seconds)
        console.print(
            f"{access.endpoint}: buckets {', '.join(access.buckets)} are ready for {', '.join(wanted.origins)}"
        )
        for look in await tied_if_empty(wanted):
            console.print(f"{look.bucket}: {look.text}", markup=False)

    run_or_exit(work)


@app.command()
def sweep(
    remove: Annotated[
        bool, typer.Option("--remove", help="List what is found, and remove what was listed 7 days ago or earlier.")
    ] = False,
    yes_remove: Annotated[
        int | None,
        typer.Option("--yes-remove", min=1, metavar="N", help="Remove as many as it said that are due, N in all."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell, and change nothing. So it is by default.")] = False,
    min_age_hours: Annotated[
        float, typer.Option(min=1.0, help="What is younger may belong to a request that is under way.")
    ] = 24.0,
    as_json: AsJson = False,
) -> None:
    """Find objects that nothing in the Labeler DB refers to and uploads that nobody finished, and remove them.

    In two steps: what is found is listed, and goes when a sweep at least 7 days later finds it again. The API does the
    same once a day. Backups, and keys that the labeler does not write, are never touched. Exit code 1: the store or the
    database could not be read, or the buckets are not tied to this database. 3: more is due than may go by itself.
    """
    from labeler_ops.storage.sweeping import run_sweep, show

    if dry_run and remove:
        raise typer.BadParameter("--dry-run and --remove are opposites: give one of them")
    if yes_remove is not None and not remove:
        raise typer.BadParameter("--yes-remove needs --remove beside it")
    with Console(stderr=True).status("Walking through both buckets"):
        report = run_or_exit(lambda: run_sweep(settings(), hours=min_age_hours, remove=remove, allowed=yes_remove))
    print_result(
        {"dry_run": not remove, **msgspec.to_builtins(report)},
        lambda: show(report, Console(), dry_run=not remove),
        as_json=as_json,
        code=0 if report.stopped is None else _STOPPED,
    )
