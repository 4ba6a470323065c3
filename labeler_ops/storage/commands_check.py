"""`labeler storage check`: everything that the labeler does with a store, tried once."""

import asyncio
import os
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from labeler_api.settings import SettingsError, load
from labeler_ops.storage.access import StorageAccess

_WRONG = 1
_NOT_STARTED = 2
_MARKS = {"ok": "[green]ok[/green]", "note": "[yellow]note[/yellow]", "wrong": "[red]wrong[/red]"}


def check(
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, for programs.")] = False,
) -> None:
    """Try put, get, range, list, multipart, signed links and CORS in both buckets, and leave nothing behind.

    The store is S3_ENDPOINT's, the origins are those of CORS_ORIGINS. Exit code 1: something is wrong.
    """
    from labeler_ops.storage.probe import probe  # half a second to load, which other commands need not wait for

    console = Console(soft_wrap=True, highlight=False)
    try:
        # The database plays no part here, and no secret of the API does.
        unused = {"LABELER_DB_URL": "postgresql://unused@unused/unused"}
        settings = load({**unused, **os.environ, "ENVIRONMENT": "development"})
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(_NOT_STARTED) from None
    access = StorageAccess(
        endpoint=settings.storage_url,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key,
        region=settings.s3_region,
        datasets_bucket=settings.s3_bucket_datasets,
        annotations_bucket=settings.s3_bucket_annotations,
    )
    seen = asyncio.run(probe(access, settings.origins))
    if as_json:
        typer.echo(msgspec.json.encode({"endpoint": access.endpoint, "seen": seen}))
    else:
        for one in seen:
            console.print(_MARKS[one.level], end=" ")
            console.print(f"{one.what}: {one.text}", markup=False)
    if any(one.level == "wrong" for one in seen):
        raise typer.Exit(_WRONG)
