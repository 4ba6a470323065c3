"""`labeler storage compare|verify`: compare two stores, whatever program copied them."""

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labeler_ops.command_result import FAILED, WRONG_USE, AsJson, exit_with_error, print_result, run_or_exit
from labeler_ops.console import ConsoleReporter
from labeler_ops.database.commands import dsn
from labeler_ops.storage.access import StorageError
from labeler_ops.storage.store_variables import read_both

if TYPE_CHECKING:
    from labeler_ops.storage.object_findings import StoreComparison
    from labeler_ops.storage.store_sync import StoreSync

_CONCURRENCY = 16

Url = Annotated[
    str | None,
    typer.Option("--url", help="The Labeler DB. Default: LABELER_DB_URL and its kin.", show_default=False),
]
WithDatabase = Annotated[
    bool, typer.Option("--database/--no-database", help="Ask the Labeler DB which objects there must be.")
]
OneWay = Annotated[
    bool,
    typer.Option(
        "--one-way",
        help="The target is a second copy: what only it has is counted, and is no difference.",
    ),
]
Found = Annotated[Path | None, typer.Option(help="A directory for every finding by name.", show_default=False)]


def compare(
    url: Url = None,
    database: WithDatabase = True,
    one_way: OneWay = False,
    found: Found = None,
    as_json: AsJson = False,
) -> None:
    """Compare the database's references and both stores' listings; no object is read, nothing is changed.

    The stores are those of SOURCE_S3_… and TARGET_S3_…. Exit code 1: there is a difference, as there is before a copy.
    """
    _show(lambda passes: passes.compare(one_way=one_way), url, database, found, as_json)


def verify(
    url: Url = None,
    database: WithDatabase = True,
    one_way: OneWay = False,
    found: Found = None,
    concurrency: Annotated[int, typer.Option(min=1, max=128, help="Objects under way at once.")] = _CONCURRENCY,
    sample: Annotated[
        float, typer.Option(min=0.001, max=1.0, help="Share of the objects to read; the listings are compared whole.")
    ] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Read every object of both stores and compare bytes, size, content type, headers and metadata.

    The stores are those of SOURCE_S3_… and TARGET_S3_…, whichever program copied. With --one-way a store that is kept
    as a second copy is proven: all of the source is there, with the same bytes. Exit code 1: there is a difference.
    """
    _show(
        lambda passes: passes.verify(sample=sample, one_way=one_way),
        url,
        database,
        found,
        as_json,
        concurrency=concurrency,
    )


def _show(
    look: "Callable[[StoreSync], Awaitable[StoreComparison]]",
    url: str | None,
    database: bool,
    found: Path | None,
    as_json: bool,
    concurrency: int = _CONCURRENCY,
) -> None:
    where = dsn(url) if database else None
    try:
        sides = read_both()
    except StorageError as error:
        exit_with_error(str(error), WRONG_USE)

    async def whole() -> "StoreComparison":
        from labeler_ops.storage.store_sync import StoreSync  # the S3 library takes its time to load

        return await look(StoreSync(directory, *sides, where, reporter, concurrency))

    with ConsoleReporter() as reporter, tempfile.TemporaryDirectory() as scratch:
        directory = found or Path(scratch)
        directory.mkdir(parents=True, exist_ok=True)
        report = run_or_exit(whole)
        print_result(report, lambda: reporter.show(report), as_json=as_json, code=0 if report.same else FAILED)
