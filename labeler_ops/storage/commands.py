"""`labeler storage …`: the buckets."""

import asyncio
import os
from collections.abc import Mapping
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from labeler_api.errors import AppError
from labeler_api.settings import Settings, SettingsError, load
from labeler_ops.storage import commands_move
from labeler_ops.storage.access import StorageAccess, StorageError
from labeler_ops.storage.commands_check import check

app = typer.Typer(no_args_is_help=True)
app.command()(check)
commands_move.register(app)

_FAILED = 1
_NOT_STARTED = 2


@app.callback()
def storage() -> None:
    """The buckets of the labeler."""


@app.command()
def init(
    seconds: Annotated[float, typer.Option(help="How long to wait for a store that is starting.")] = 60.0,
) -> None:
    """Make both buckets where they are missing, set the CORS rules, and prove a put and a get. Safe to repeat.

    The store is S3_ENDPOINT's, the origins are those of CORS_ORIGINS.
    """
    from labeler_ops.storage.buckets import prepare  # half a second to load, which other commands need not wait for

    console = Console(stderr=True, soft_wrap=True)
    # The database plays no part here; the settings want one.
    settings = _settings(console, {"LABELER_DB_URL": "postgresql://unused@unused/unused"})
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


@app.command()
def sweep(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be removed, and remove nothing.")] = False,
    min_age_hours: Annotated[
        float, typer.Option(min=1.0, help="What is younger may belong to a request that is under way.")
    ] = 24.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, for programs.")] = False,
) -> None:
    """Find objects that nothing in the Labeler DB refers to and uploads that nobody finished, and remove them.

    The API does the same once a day. Backups, and keys that the labeler does not write, are never touched. Exit code 1:
    the store or the database could not be read; what was removed by then is counted in the log.
    """
    from labeler_ops.storage.sweeping import run_sweep, show

    console = Console(stderr=True, soft_wrap=True)
    settings = _settings(console, {})
    try:
        with console.status("Walking through both buckets"):
            report = asyncio.run(run_sweep(settings, hours=min_age_hours, remove=not dry_run))
    except AppError as error:
        console.print(error.detail, markup=False)
        raise typer.Exit(_FAILED) from None
    if as_json:
        typer.echo(msgspec.json.encode({"dry_run": dry_run, **msgspec.to_builtins(report)}))
    else:
        show(report, Console(), dry_run=dry_run)


def _settings(console: Console, defaults: Mapping[str, str]) -> Settings:
    try:
        return load({**defaults, **os.environ, "ENVIRONMENT": "development"})  # no secret of the API plays a part here
    except SettingsError as error:
        console.print(str(error), markup=False)
        raise typer.Exit(_NOT_STARTED) from None
