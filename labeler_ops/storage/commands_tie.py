"""`labeler storage adopt`: tie buckets that have objects to the Labeler DB that they belong to."""

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from labeler_api.settings import Settings
from labeler_ops.command_result import FAILED, exit_with_error, run_or_exit, settings

if TYPE_CHECKING:
    from labeler_ops.storage.adoption_report import AdoptionReport

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask; for scripts. Both sides are shown all the same.")]
Missing = Annotated[
    bool,
    typer.Option(
        "--although-images-are-missing",
        help="Tie them although most images of one side are not on the other one: the sweep may remove the rest.",
    ),
]
InsteadOf = Annotated[
    str | None,
    typer.Option("--instead-of", metavar="ID", help="Take the buckets over from the database of this id."),
]


def adopt(yes: Yes = False, although_images_are_missing: Missing = False, instead_of: InsteadOf = None) -> None:
    """Tie both buckets to the Labeler DB, after showing both sides. Until then nothing is deleted in them.

    For buckets that have objects and no tie, as those of an older installation. The database is
    LABELER_DB_URL's, the store S3_ENDPOINT's. Exit code 1: they were not tied.
    """
    console = Console(soft_wrap=True, highlight=False)
    run_or_exit(lambda: _adopt(console, settings(), yes=yes, forced=although_images_are_missing, instead_of=instead_of))


async def _adopt(console: Console, wanted: Settings, *, yes: bool, forced: bool, instead_of: str | None) -> None:
    from labeler_ops.storage.adoption_report import look_at_both  # half a second to load
    from labeler_ops.storage.bucket_tie import open_tie

    async with AsyncExitStack() as stack:
        sides = await open_tie(wanted, stack)
        seen = await look_at_both(wanted, sides)
        seen.show(console)
        if seen.tied:
            console.print("The buckets belong to this database already. Nothing was done.")
            return
        if (refusal := _refusal(seen, forced=forced, instead_of=instead_of)) is not None:
            exit_with_error(f"Not tied: {refusal}")
        if not yes and not typer.confirm("Do these two belong together?"):
            raise typer.Exit(FAILED)
        await sides.tie.adopt(whatever_they_say=True)
        console.print("The buckets belong to this database now. What is deleted there, it decides.")


def _refusal(seen: "AdoptionReport", *, forced: bool, instead_of: str | None) -> str | None:
    for other in seen.others:
        if other != instead_of:
            return f"a bucket belongs to another database. If that one is given up: --instead-of {other}"
    if seen.doubt is not None and not forced:
        return f"{seen.doubt}. If they belong together all the same: --although-images-are-missing"
    return None
