"""Both modes of a move behind one command line: a run knows its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from labeler_ops.backup.dumps import JOBS
from labeler_ops.database.move.migration import Migration
from labeler_ops.database.move.preflight import Finding
from labeler_ops.database.move.preflight import preflight as look_for_dump
from labeler_ops.database.replication import looks
from labeler_ops.database.replication.options import Mode
from labeler_ops.database.replication.replication import Replication
from labeler_ops.database.replication.sides import Urls, opened
from labeler_ops.runs import Run
from labeler_ops.voice import Voice

Move: TypeAlias = Migration | Replication

# What `--dry-run` says after the preflight.
PLAN: Mapping[Mode, str] = {
    Mode.DUMP: "then: backup and its restore drill, maintenance mode, copy, verify, upgrade if needed, switch",
    Mode.LOGICAL: "then: backup and its restore drill, tables, publication, subscription, copying while users work; "
    "stand-still (maintenance mode, the last change, sequences, verify), switch, and the subscription back",
}


def begin(
    root: Path,
    urls: Urls,
    voice: Voice,
    mode: Mode,
    *,
    jobs: int = JOBS,
    reverse: bool = True,
    compare_after: bool = False,
) -> Move:
    """Start a run in a mode; by replication, go on with the one of these databases that is not over."""
    if mode is Mode.LOGICAL:
        return Replication.begin(root, urls, voice, reverse=reverse, jobs=jobs, compare_after=compare_after)
    return Migration.begin(root, urls.source, urls.target, voice, jobs=jobs)


def existing(
    root: Path, run_id: str, urls: Urls, voice: Voice, *, jobs: int = JOBS, compare_after: bool = False
) -> Move:
    """Open a run again, in the mode that it was begun in. Raises RunError when there is none of that id."""
    run = Run.resume(root, run_id)
    if run.facts.get("mode") == Mode.LOGICAL:
        return Replication(run, urls, voice, jobs=jobs, compare_after=compare_after)
    return Migration(run, urls.source, urls.target, voice, jobs=jobs)


async def preflight(root: Path, urls: Urls, mode: Mode, *, reverse: bool = True) -> list[Finding]:
    """Look at everything that a move in this mode needs; nothing is changed. Raises DatabaseRefused."""
    if mode is Mode.DUMP:
        return await look_for_dump(urls.source, urls.target, root)
    async with opened(urls) as sides:
        return await looks.look(sides, root, reverse=reverse)
