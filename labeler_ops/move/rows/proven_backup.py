"""The phase `backup` of a move in either mode: a dump of one moment, restored elsewhere and compared with it."""

import asyncio
from typing import Any

from labeler_ops.backup import dumps
from labeler_ops.backup.clients import Clients
from labeler_ops.database.errors import DatabaseRefused
from labeler_ops.reporter import Reporter
from labeler_ops.runs import Run


async def back_up(
    run: Run, tools: Clients, source: str, target: str, voice: Reporter, jobs: int, *, name: str = "backup"
) -> dict[str, Any]:
    """Make the backup of a run, anew if it was cut off; sizes in bytes and times in seconds.

    Raises DatabaseRefused when it cannot be proven, or is not what the source was.
    """
    directory = run.path(name)
    await asyncio.to_thread(dumps.remove, directory)  # what a run that was cut off left
    place_of_drill = await dumps.restore_test_place(source, target, major=tools.major)
    if place_of_drill is None:
        raise DatabaseRefused("neither role may create the scratch database of the restore test: grant CREATEDB to one")
    size = await dumps.database_size(source)
    async with dumps.snapshot(source) as moment:
        made = await dumps.dump(tools, source, directory, as_of=moment, jobs=jobs, told=voice.progress)
        drilled = await dumps.restore_test(tools, directory, source, moment, at=place_of_drill, jobs=jobs)
    run.write(f"{name}.report.json", drilled.report)
    if not drilled.report.same:
        voice.show(drilled.report)
        first = "; ".join(drilled.report.lines()[:3])
        raise DatabaseRefused(f"the backup, restored, is not what the source was; nothing was switched: {first}")
    voice.line(f"backup of {made.bytes:,} bytes, restored and compared in {drilled.restore_seconds:.1f} s")
    return {
        "database_bytes": size,
        "bytes": made.bytes,
        "seconds": made.seconds,
        "restore_seconds": drilled.restore_seconds,
    }
