"""`labeler images …`: images in the object store and their rows."""

import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from labeler_api.db.failures import FAILURES
from labeler_api.settings import Settings, load
from labeler_ops.command_result import FAILED, WRONG_USE, AsJson, print_result, run_or_exit
from labeler_ops.console import ConsoleReporter
from labeler_ops.errors import DatabaseError

if TYPE_CHECKING:
    from labeler_ops.images.backfill import BackfillReport
    from labeler_ops.images.checking import CheckReport

app = typer.Typer(no_args_is_help=True)

_SHOWN = 50  # failures; --json gives all of them


@app.callback()
def images() -> None:
    """Images in the object store and their rows."""


@app.command()
def backfill(
    dataset: Annotated[str | None, typer.Option(help="Only the images of this dataset.", show_default=False)] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Images that are read at the same time.")] = 4,
    as_json: AsJson = False,
) -> None:
    """Read width, height, type and content version of images whose rows lack them. Safe to interrupt and to repeat.

    The database is LABELER_DB_URL's, the store S3_ENDPOINT's. Exit code 1: some images could not be read (they are
    listed); 2: the database or the store could not be used.
    """
    report = run_or_exit(lambda: _backfill(_settings(), dataset, workers), code=WRONG_USE)
    print_result(report, lambda: _show(report), as_json=as_json, code=FAILED if report.failed else 0)


@app.command()
def check(
    dataset: Annotated[str | None, typer.Option(help="Only the images of this dataset.", show_default=False)] = None,
    read: Annotated[bool, typer.Option("--read", help="Read every image to its end, and compare its bytes.")] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Images that are looked at at the same time.")] = 8,
    as_json: AsJson = False,
) -> None:
    """Find images whose object is not what their row says: missing, of another size, or with other bytes.

    Without --read, an object's size and the digest that its upload stored with it are compared. Images from before
    the move have no digest. Nothing is changed. The database is LABELER_DB_URL's, the store S3_ENDPOINT's. Exit code 1:
    something does not fit; 2: the database or the store could not be used.
    """
    report = run_or_exit(lambda: _check(_settings(), dataset, workers, read=read), code=WRONG_USE)
    print_result(report, lambda: _show_check(report), as_json=as_json, code=FAILED if report.mismatches else 0)


def _settings() -> Settings:
    # Only what this command uses: an operator's machine has no JWT secret.
    used = ("LABELER_DB_", "DATABASE_", "PG", "S3_", "MAX_IMAGE_PIXELS", "DECODING_MEMORY_BYTES")
    return load({name: value for name, value in os.environ.items() if name.startswith(used)})


async def _backfill(settings: Settings, dataset: str | None, workers: int) -> "BackfillReport":
    from labeler_ops.images.backfill import backfill as fill

    with ConsoleReporter(errors=True) as reporter:
        told = reporter.progress
        return await fill(settings, dataset, workers, lambda now: told(now.examined, max(now.lacking, now.examined)))


async def _check(settings: Settings, dataset: str | None, workers: int, *, read: bool) -> "CheckReport":
    from labeler_api.object_store.objects import ObjectStore
    from labeler_ops.images.checking import Check
    from labeler_ops.images.walking import require_head

    dsn, bucket = settings.labeler_db_url, settings.s3_bucket_datasets
    await require_head(dsn)
    async with AsyncExitStack() as stack:
        work = Check(dsn, await ObjectStore.connect(settings, stack), bucket, read=read)
        told = stack.enter_context(ConsoleReporter(errors=True)).progress
        try:
            return await work.run(
                dataset_id=dataset, workers=workers, progress=lambda now: told(now.examined, now.images)
            )
        except FAILURES as error:
            raise DatabaseError(f"the database went away: {error}") from error


def _show(report: "BackfillReport") -> None:
    console = Console(soft_wrap=True, highlight=False)
    console.print(
        f"{report.filled:,} of {report.lacking:,} rows filled in, {report.skipped:,} left to others, "
        f"{len(report.failed):,} failed."
    )
    for failure in report.failed[:_SHOWN]:
        console.print(f"{failure.dataset_id} {failure.image_id}: {failure.reason} ({failure.s3_key})", markup=False)
    if len(report.failed) > _SHOWN:
        console.print(f"… and {len(report.failed) - _SHOWN:,} more; --json lists all.")


def _show_check(report: "CheckReport") -> None:
    console = Console(soft_wrap=True, highlight=False)
    for found in report.mismatches[:_SHOWN]:
        console.print(f"{found.dataset_id} {found.image_id}: {found.text} ({found.key})", markup=False)
    total = report.counts.total()
    if total > _SHOWN:
        console.print(f"… and {total - _SHOWN:,} more; --json lists the first of them.")
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(report.counts.items()))
    said = f"{total:,} do not fit: {kinds}" if total else "all of them fit"
    console.print(f"{report.examined:,} images looked at, {said}.")
