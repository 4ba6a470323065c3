"""`labeler storage check`: everything that the labeler does with a store, tried once."""

import asyncio
import os
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console

from labeler_api.settings import Settings, load
from labeler_ops.storage.access import StorageAccess
from service_kit.settings import SettingsError

if TYPE_CHECKING:
    from labeler_ops.storage.probe import Seen

_WRONG = 1
_NOT_STARTED = 2
_MARKS = {"ok": "[green]ok[/green]", "note": "[yellow]note[/yellow]", "wrong": "[red]wrong[/red]"}


def check(
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, for programs.")] = False,
) -> None:
    """Try put, get, range, list, multipart, signed links and CORS in both buckets, and leave nothing behind.

    It also says to which database the buckets are tied. The store is S3_ENDPOINT's, the origins are those of
    CORS_ORIGINS, the database LABELER_DB_URL's. Exit code 1: something is wrong.
    """
    from labeler_ops.storage.tying import stand_in

    console = Console(soft_wrap=True, highlight=False)
    try:
        # No secret of the API plays a part here.
        settings = load({**os.environ, **stand_in(os.environ), "ENVIRONMENT": "development"})
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
    seen = asyncio.run(_seen(access, settings))
    if as_json:
        typer.echo(msgspec.json.encode({"endpoint": access.endpoint, "seen": seen}))
    else:
        for one in seen:
            console.print(_MARKS[one.level], end=" ")
            console.print(f"{one.what}: {one.text}", markup=False)
    if any(one.level == "wrong" for one in seen):
        raise typer.Exit(_WRONG)


async def _seen(access: StorageAccess, settings: Settings) -> "list[Seen]":
    from labeler_ops.storage.probe import probe, tie  # half a second to load, which other commands need not wait for

    return [*await probe(access, settings.origins), *await tie(settings)]
