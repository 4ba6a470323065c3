"""`labeler db replicate …`: move a database with seconds without writes, and back as quickly."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import asyncpg
import msgspec
import typer
from rich.console import Console

from labeler_ops.database.commands import dsn
from labeler_ops.database.commands_move import Runs, Screen
from labeler_ops.database.errors import DatabaseRefused
from labeler_ops.database.replication import replication, sides
from labeler_ops.database.replication import status as looking
from labeler_ops.runs import RunError, redacted

app = typer.Typer(no_args_is_help=True)

_FAILED = 1
_T = TypeVar("_T")

Source = Annotated[str, typer.Option(envvar="SOURCE_DATABASE_URL", help="The database that is moved.")]
Target = Annotated[str, typer.Option(envvar="TARGET_DATABASE_URL", help="The database that it is moved to.")]
SourceSeen = Annotated[
    str | None,
    typer.Option(
        "--source-as-seen-by-target",
        help="The source's URL where the target's server uses another.",
        show_default=False,
    ),
]
TargetSeen = Annotated[
    str | None,
    typer.Option(
        "--target-as-seen-by-source",
        help="The target's URL where the source's server uses another.",
        show_default=False,
    ),
]


@app.command()
def start(
    source: Source,
    target: Target,
    source_seen: SourceSeen = None,
    target_seen: TargetSeen = None,
    runs: Runs = Path("runs"),
    reverse: Annotated[
        bool, typer.Option("--reverse/--no-reverse", help="Let writes flow back to the source after the switch.")
    ] = True,
) -> None:
    """Copy into an empty target while everybody writes, and follow. Safe to repeat: it goes on where it was."""
    with Screen() as screen:
        urls = _urls(source, target, source_seen, target_seen)
        work = replication.Replication.begin(runs, urls, screen, reverse=reverse)
        screen.line(f"run {work.run.id}")
        _run(work.start())
        screen.line("the target follows the source. Next: `labeler db replicate switch`, when the deployment is ready")


@app.command()
def status(source: Source, target: Target, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Show both directions: tables copied, bytes behind, log that slots keep. Exit code 1: somebody should look."""

    async def look() -> looking.Status:
        async with sides.opened(_urls(source, target)) as both:
            return await looking.status(both)

    found = _run(look())
    if as_json:
        typer.echo(msgspec.json.encode(found))
    else:
        console = Console(soft_wrap=True, highlight=False)
        for line in (*found.lines, *found.warnings):
            console.print(line, markup=False)
    if found.warnings:
        raise typer.Exit(_FAILED)


@app.command()
def switch(
    source: Source,
    target: Target,
    source_seen: SourceSeen = None,
    target_seen: TargetSeen = None,
    runs: Runs = Path("runs"),
    compare_after: Annotated[
        bool,
        typer.Option(help="Open the target first and compare the rows of that moment then: for large databases."),
    ] = False,
) -> None:
    """Stop writing, wait for the last change, compare, and open the target. On any doubt the source serves on."""
    with Screen() as screen:
        _run(
            _existing(_urls(source, target, source_seen, target_seen), runs, screen).switch(compare_after=compare_after)
        )


@app.command()
def reverse(source: Source, target: Target, runs: Runs = Path("runs")) -> None:
    """Go back to the source, which has followed the target since the switch. Nothing is lost."""
    with Screen() as screen:
        _run(_existing(_urls(source, target), runs, screen).reverse())


@app.command()
def stop(source: Source, target: Target, runs: Runs = Path("runs")) -> None:
    """Drop slots, publications and subscriptions: before the switch that gives the move up, after it the way back."""
    urls = _urls(source, target)
    with Screen() as screen:
        found = replication.find(runs, urls)
        if found is None:
            _run(replication.drop_everything(urls, screen))
            screen.line("there is no run of these two: what replication left was dropped, no fence was touched")
        else:
            _run(replication.Replication(found, urls, screen).stop())
            screen.line("replication is over, and the source's fence is down")


def _urls(source: str, target: str, source_seen: str | None = None, target_seen: str | None = None) -> sides.Urls:
    return sides.Urls(dsn(source, "--source"), dsn(target, "--target"), source_seen, target_seen)


def _existing(urls: sides.Urls, runs: Path, screen: Screen) -> replication.Replication:
    found = replication.find(runs, urls)
    if found is None:
        raise _fail(f"there is no replication of these two in {runs}: `labeler db replicate start`")
    return replication.Replication(found, urls, screen)


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    try:
        return asyncio.run(work)
    except (DatabaseRefused, RunError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise _fail(str(error)) from None


def _fail(text: str) -> typer.Exit:
    Console(stderr=True, soft_wrap=True).print(redacted(text), markup=False)
    return typer.Exit(_FAILED)
