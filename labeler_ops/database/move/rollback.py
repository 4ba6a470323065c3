"""The way back of a move: to the source while the target was closed, to a copy of the target once it was open.

The second is a move of its own, from the target into an empty database, with a run of its own that the first one's
journal names: a way back that was cut off goes on where it was when the same command is given again.
"""

import getpass
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from labeler_api.migrations import HEAD
from labeler_ops.database.errors import DatabaseRefused
from labeler_ops.database.move import report
from labeler_ops.database.move.preflight import connected
from labeler_ops.database.verify.run import verify
from labeler_ops.maintenance import fence
from labeler_ops.runs import Run, place

if TYPE_CHECKING:
    from labeler_ops.database.move.migration import Migration

PHASE = "rollback"
ENVIRONMENT = "environment.rollback"


async def to_source(move: "Migration") -> str:
    """Let the source serve again; the target was never opened. Raises DatabaseRefused when somebody wrote there."""
    with move.run.phase(PHASE):
        await _require_untouched(move)
        await fence.off(move.source, by=getpass.getuser())
        if move.database == "labeler":  # for a reader it would be another password than the services have
            await move.write_environment(ENVIRONMENT, move.source)
    return move.source


async def into_empty(
    move: "Migration", into: str, launch: "Callable[[Migration], Awaitable[None]] | None" = None
) -> str:
    """Copy everything of the open target into an empty database, compare it, and let it serve."""
    run = _run(move, into)
    back = type(move)(run, move.target, into, move.voice, jobs=move.jobs, variable=move.variable)
    move.voice.line(f"run {run.id}")
    try:
        await back.migrate()
        if launch:
            await launch(back)
        await back.open()
    finally:
        with suppress(OSError):  # a full disk has said so already
            report.write(run)
    with move.run.phase(PHASE) as facts:
        facts["into"] = place(into)
        path = move.run.path(ENVIRONMENT)
        path.touch(mode=0o600)
        path.write_text(run.path("environment.new").read_text())
    return into


def _run(move: "Migration", into: str) -> Run:
    """The run that goes back: the one that was cut off, where there is one to this place."""
    root, to = move.run.directory.parent, place(into)
    for event in reversed(move.run.events):
        if event.phase != PHASE or "run" not in event.facts:
            continue
        run = Run.resume(root, event.facts["run"])
        if run.facts.get("target") == to:
            return run
        if run.began("open"):
            raise DatabaseRefused(f"the way back into {run.facts.get('target')} was opened already: give that one")
    facts = {"source": place(move.target), "target": to, "database": move.database, "back_from": move.run.id}
    run = Run.start(root, PHASE, facts)
    move.run.note(PHASE, run=run.id, into=to)
    return run


async def _require_untouched(move: "Migration") -> None:
    """Nobody may have written to the closed target; who did would lose it now."""
    if move.run.ended("switch") is None:
        return
    try:
        connection = await connected("target", move.target)
    except DatabaseRefused as error:
        # Closed since before any service knew it, and fenced: there is nothing on it that the source has not.
        move.voice.line(f"{error}. Nobody could write there: the source serves on without it")
        return
    await connection.close(timeout=5)
    if not (await fence.status(move.target)).stands:
        raise DatabaseRefused(
            "the target's fence does not stand although it was not opened: somebody may have written there. "
            "See what; then `labeler db open` and a way back that brings it along, --into"
        )
    upgraded = (move.run.ended("upgrade") or {}).get("before") not in {None, HEAD}
    if upgraded:  # its rows are written in another form; the fence is the proof
        return
    found = await verify(move.source, move.target, progress=move.voice.progress)
    if not found.same:
        move.voice.show(found)
        raise DatabaseRefused(
            "the target was written to although it was not open: see what differs; then `labeler db open` and --into"
        )
