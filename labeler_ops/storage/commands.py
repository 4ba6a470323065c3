"""`labeler storage …`: the buckets."""

import asyncio
import os
from collections.abc import Mapping
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from labeler_api.errors import AppError
from labeler_api.settings import Settings, load
from labeler_ops.storage.access import StorageAccess, StorageError
from labeler_ops.storage.commands_check import check
from labeler_ops.storage.commands_compare import compare, verify
from labeler_ops.storage.commands_tie import adopt
from service_kit.settings import SettingsError

app = typer.Typer(no_args_is_help=True)
app.command()(check)
app.command()(adopt)
app.command()(compare)
app.command()(verify)

_FAILED = 1
_NOT_STARTED = 2
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
    from labeler_ops.storage.buckets import prepare  # half a second to load, which other commands need not wait for
    from labeler_ops.storage.tying import stand_in, tied_if_empty

    console = Console(stderr=True, soft_wrap=True)
    settings = _settings(console, stand_in(os.environ))
    access = StorageAccess(
        endpoint=settings.storage_url,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key,
        region=settings.s3_region,
        datasets_bucket=settings.s3_bucket_datasets,
        annotations_bucket=settings.s3_bucket_annotations,
    )
    try:
        with console.status(f"Preparing {access.endpoint}"):
            asyncio.run(prepare(access, origins=settings.origins, seconds=seconds))
    except StorageError as error:
        console.print(str(error), markup=False)
        raise typer.Exit(_FAILED) from None
    console.print(f"{access.endpoint}: buckets {', '.join(access.buckets)} are ready for {', '.join(settings.origins)}")
    for look in asyncio.run(tied_if_empty(settings)):
        console.print(f"{look.bucket}: {look.text}", markup=False)


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
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, for programs.")] = False,
) -> None:
    """Find objects that nothing in the Labeler DB refers to and uploads that nobody finished, and remove them.

    In two steps: what is found is listed, and goes when a sweep at least 7 days later finds it again. The API does the
    same once a day. Backups, and keys that the labeler does not write, are never touched. Exit code 1: the store or the
    database could not be read, or the buckets are not tied to this database. 3: more is due than may go by itself.
    """
    from labeler_ops.storage.sweeping import run_sweep, show

    console = Console(stderr=True, soft_wrap=True)
    if dry_run and remove:
        raise typer.BadParameter("--dry-run and --remove are opposites: give one of them")
    if yes_remove is not None and not remove:
        raise typer.BadParameter("--yes-remove needs --remove beside it")
    settings = _settings(console, {})
    try:
        with console.status("Walking through both buckets"):
            report = asyncio.run(run_sweep(settings, hours=min_age_hours, remove=remove, allowed=yes_remove))
    except AppError as error:
        console.print(error.detail, markup=False)
        raise typer.Exit(_FAILED) from None
    if as_json:
        typer.echo(msgspec.json.encode({"dry_run": not remove, **msgspec.to_builtins(report)}))
    else:
        show(report, Console(), dry_run=not remove)
    if report.stopped is not None:
        raise typer.Exit(_STOPPED)


def _settings(console: Console, given: Mapping[str, str]) -> Settings:
    try:
        return load({**os.environ, **given, "ENVIRONMENT": "development"})  # no secret of the API plays a part here
    except SettingsError as error:
        console.print(str(error), markup=False)
        raise typer.Exit(_NOT_STARTED) from None
