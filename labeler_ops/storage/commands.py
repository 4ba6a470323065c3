"""`labeler storage …`: the buckets."""

import asyncio
import os
from typing import Annotated

import typer
from rich.console import Console

from labeler_api.settings import SettingsError, load
from labeler_ops.storage.access import StorageAccess, StorageError

app = typer.Typer(no_args_is_help=True)

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
    try:
        # The database plays no part here; the settings want one.
        settings = load(
            {"LABELER_DB_URL": "postgresql://unused@unused/unused", **os.environ, "ENVIRONMENT": "development"}
        )
    except SettingsError as error:
        console.print(str(error), markup=False)
        raise typer.Exit(_NOT_STARTED) from None
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
