"""`labeler storage check`: everything that the labeler does with a store, tried once."""

import os
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from labeler_ops.command_result import FAILED, AsJson, print_json, run_or_exit, settings
from labeler_ops.console import MARKS

if TYPE_CHECKING:
    from labeler_ops.storage.probe import Seen


def check(
    as_json: AsJson = False,
) -> None:
    """Try put, get, range, list, multipart, signed links and CORS in both buckets, and leave nothing behind.

    It also says to which database the buckets are tied. The store is S3_ENDPOINT's, the origins are those of
    CORS_ORIGINS, the database LABELER_DB_URL's. Exit code 1: something is wrong.
    """
    console = Console(soft_wrap=True, highlight=False)
    endpoint, seen = run_or_exit(_seen)
    if as_json:
        print_json({"endpoint": endpoint, "seen": seen})
    else:
        for one in seen:
            console.print(MARKS[one.level], end=" ")
            console.print(f"{one.what}: {one.text}", markup=False)
    if any(one.level == "wrong" for one in seen):
        raise typer.Exit(FAILED)


async def _seen() -> "tuple[str, list[Seen]]":
    from labeler_ops.storage.bucket_tie import access_of, stand_in
    from labeler_ops.storage.probe import probe, tie  # half a second to load, which other commands need not wait for

    wanted = settings(stand_in(os.environ))
    return wanted.storage_url, [*await probe(access_of(wanted), wanted.origins), *await tie(wanted)]
