"""`labeler db replicate …`: move a database with seconds without writes, and back as quickly."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich.console import Console

from labeler_api.db.failures import FAILURES
from labeler_ops.database.commands import dsn
from labeler_ops.database.commands_move import Runs, Source, Target
from labeler_ops.database.errors import DatabaseRefused
from labeler_ops.database.replication import replication, sides
from labeler_ops.database.replication import status as looking
from labeler_ops.database.replication.leftovers import drop_everything
from labeler_ops.database.replication.options import CompareAfter, Reverse, SourceSeen, TargetSeen
from labeler_ops.move import lock
from labeler_ops.runs import RunError, redacted
from labeler_ops.screen import Screen

app = typer.Typer(no_args_is_help=True)

_FAILED = 1
_T = TypeVar("_T")


@app.command()
def start(
    source: Source,
    target: Target,
    source_seen: SourceSeen = None,
    target_seen: TargetSeen = None,
    runs: Runs = Path("runs"),
    reverse: Reverse = True,
    backup: Annotated[
        bool, typer.Option("--backup/--no-backup", help="Dump the source and try the dump first; no backup is said.")
    ] = True,
) -> None:
    """Back up, copy into an empty target while everybody writes, and follow. Safe to repeat: it goes on."""
    with Screen() as screen:
        urls = _urls(source, target, source_seen, target_seen)
        work = replication.Replication.begin(runs, urls, screen, reverse=reverse, backup=backup)
        screen.line(f"run {work.run.id}")
        _run(_alone(work, lambda: work.migrate(until="copying")))
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
    compare_after: CompareAfter = False,
) -> None:
    """Stop writing, wait for the last change, compare, and open the target. On any doubt the source serves on."""
    with Screen() as screen:
        urls = _urls(source, target, source_seen, target_seen)
        work = _existing(urls, runs, screen, compare_after=compare_after)
        _run(_alone(work, work.switch))
        screen.line(f"the target can be written to: set {work.variable} to it on every service, and deploy")


@app.command()
def reverse(source: Source, target: Target, runs: Runs = Path("runs")) -> None:
    """Go back to the source, which has followed the target since the switch. Nothing is lost."""
    with Screen() as screen:
        work = _existing(_urls(source, target), runs, screen)
        _run(_alone(work, work.reverse))
        screen.line(f"the source can be written to: set {work.variable} to it on every service, and deploy")


@app.command()
def stop(source: Source, target: Target, runs: Runs = Path("runs")) -> None:
    """Drop slots, publications and subscriptions: before the switch that gives the move up, after it the way back."""
    urls = _urls(source, target)
    with Screen() as screen:
        found = replication.find(runs, urls)
        if found is None:
            _run(drop_everything(urls, screen))
            screen.line("there is no run of these two: what replication left was dropped, no fence was touched")
        else:
            work = replication.Replication(found, urls, screen)
            _run(_alone(work, work.stop))
            screen.line("replication is over: what it left was dropped, and the source's fence if this run built it")


def _urls(source: str, target: str, source_seen: str | None = None, target_seen: str | None = None) -> sides.Urls:
    return sides.Urls(dsn(source, "--source"), dsn(target, "--target"), source_seen, target_seen)


def _existing(urls: sides.Urls, runs: Path, screen: Screen, **options: Any) -> replication.Replication:
    found = replication.find(runs, urls)
    if found is None:
        raise _fail(f"there is no replication of these two in {runs}: `labeler db replicate start`")
    return replication.Replication(found, urls, screen, **options)


async def _alone(move: replication.Replication, work: Callable[[], Awaitable[None]]) -> None:
    """Do something that nobody else may do meanwhile; a side that is away cannot be anybody's."""
    async with lock.alone(move.run.directory, if_there=[move.urls.target]):
        move.run.read_again()
        await work()


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    try:
        return asyncio.run(work)
    except (DatabaseRefused, RunError, *FAILURES) as error:
        raise _fail(str(error)) from None


def _fail(text: str) -> typer.Exit:
    Console(stderr=True, soft_wrap=True).print(redacted(text), markup=False)
    return typer.Exit(_FAILED)
