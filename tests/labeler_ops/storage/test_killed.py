"""The tool is killed in the middle of each phase, for certain; gone on with, it comes out the same."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labeler_ops.runs import Run
from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.moving import StorageMove
from tests.labeler_ops.listening import Listener
from tests.labeler_ops.storage.roads import road
from tests.labeler_ops.storage.stores import Objects, fill
from tests.labeler_ops.storage.test_commands import environment

COUNT = 60
# Ends itself with SIGKILL when something is done for the n-th time: `python -c … <what> <n> <run> <phase>`.
KILLED = """
import asyncio, itertools, os, signal, sys
from pathlib import Path
from labeler_ops.runs import Run
from labeler_ops.storage import inventory, manifest, moving, sides
from tests.labeler_ops.listening import Listener

owner, name = {"copied": (manifest.Manifest, "add"), "digested": (inventory.Inventory, "note_digests"),
               "written": (moving, "write_environment")}[sys.argv[1]]
whole, turns = getattr(owner, name), itertools.count(1)

def instead(*arguments):
    if next(turns) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*arguments)

setattr(owner, name, instead)
move = moving.StorageMove(Run.resume(Path.cwd(), sys.argv[3]), *sides.both(), None, Listener())
work = getattr(move, sys.argv[4])()
if asyncio.iscoroutine(work):
    asyncio.run(work)
"""


async def killed(move: StorageMove, what: str, number: int, phase: str) -> StorageMove:
    """Do a phase in a process that is killed in it; the move as the next process finds it."""
    runs = move.run.directory.parent
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KILLED, what, str(number), move.run.id, phase),
        cwd=runs,
        env={**os.environ, "PYTHONPATH": str(Path.cwd()), **environment(move.source, move.target)},
        stderr=subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == -9, said.decode()
    again = StorageMove(Run.resume(runs, move.run.id), move.source, move.target, None, Listener())
    assert again.run.ended(phase) is None
    return again


@pytest.mark.destructive
async def test_killed_in_any_phase_it_goes_on_and_comes_out_the_same(
    sides: tuple[StorageAccess, StorageAccess], source: Objects, target: Objects, tmp_path: Path
) -> None:
    await fill(source, COUNT)
    async with road(sides[0]) as watched:
        move = StorageMove.begin(tmp_path, watched.access, sides[1], None, Listener())
        move = await killed(move, "copied", 30, "copy")
        copies, _ = await move.copy()
        # What was put and not yet written down is found equal, and not put again.
        assert (copies.known, copies.known + copies.equal + copies.copied) == (29, COUNT)
        move = await killed(move, "digested", 30, "verify")
        with pytest.raises(Exception, match="has not been verified"):
            move.switch()
        whole = (await move.verify()).digest
        for number in (1, 2):  # before either file is written, and between the two
            move = await killed(move, "written", number, "switch")
            assert not (move.run.directory / "environment.new").exists()
        assert f"S3_ENDPOINT={sides[1].endpoint}\n" in move.switch().read_text()
        assert set(watched.methods) == {"GET"}

        await asyncio.gather(*(target.put(f"datasets/ds_1/images/later-{n}.jpg", b"later") for n in range(20)))
        move = await killed(move, "copied", 10, "rollback")
        copies, report, _ = await move.rollback()
        assert (report.same, copies.copied + copies.equal + copies.known) == (True, COUNT + 20)
        assert report.digest != whole
        assert set(watched.methods) == {"GET", "HEAD", "PUT"}  # nothing is ever removed from the source
    assert {entry[:2] for entry in await source.listing()} == {entry[:2] for entry in await target.listing()}
