"""What fails in the middle of a move: the line, the server, the disk. It says so, and the same run goes on."""

import asyncio
import os
import resource
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest

from labeler_ops.database.verify.equality import compare_databases
from labeler_ops.errors import DatabaseError
from labeler_ops.move import move_report
from labeler_ops.move.workflow import MoveWorkflow
from labeler_ops.runs import Run
from labeler_ops.stack.postgres import PostgresServer
from tests.fixtures.sql import execute
from tests.fixtures.wire import Wire
from tests.labeler_ops.move.conftest import until_held_up
from tests.labeler_ops.move.moving import begun, rows
from tests.labeler_ops.move.operator import Order, ended, start

pytestmark = pytest.mark.destructive

# More than a file of the log (16 MiB), which is written whole; the table has more.
_FILE_BYTES = 17 << 20
_LARGE = (
    "CREATE TABLE filler (id int PRIMARY KEY, said text); ALTER TABLE filler ALTER said SET STORAGE PLAIN;"
    " INSERT INTO filler SELECT n, repeat('x', 7500) FROM generate_series(1, 2400) n"
)
_DISK_BYTES = 64 << 20
_ROOM_BYTES = 48 << 10  # less than the backup has, more than the journal


@asynccontextmanager
async def failing_in_the_middle(move: MoveWorkflow, side: str, hold: str, said: str) -> AsyncIterator[None]:
    """The copy waits for a table that somebody holds on a side, until the block is over; then it has failed."""
    holder = await asyncpg.connect(side)
    await holder.execute(f"BEGIN; {hold}")
    working = asyncio.create_task(move.run_forward())
    try:
        await until_held_up(side)
        yield
        with pytest.raises(DatabaseError, match=said):
            await working
    finally:
        holder.terminate()
        working.cancel()


async def test_the_target_restarted_and_the_source_cut_off_in_the_middle_of_the_copy(
    source: str, elsewhere: str, other_server: PostgresServer, tmp_path: Path
) -> None:
    parts = urlsplit(source)
    async with Wire(parts.port or 0) as wire:
        far = parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{wire.port}")).geturl()
        move = begun(tmp_path, rows(far, elsewhere))
        await move.run_forward(until="read only")
        made = "CREATE TABLE public.annotations (id int)"
        async with failing_in_the_middle(move, elsewhere, made, "pg_restore failed"):
            await other_server.stop()
        await other_server.start()
        async with failing_in_the_middle(move, source, "LOCK TABLE annotations", "pg_dump failed"):
            await wire.cut()
        await wire.restore()
        await move.run_forward()
    assert (await compare_databases(source, elsewhere)).lines() == []
    copied = next(phase for phase in move_report.read(move.run).phases if phase.name == "copy")
    assert copied.attempts == 3
    assert copied.state == "ended"


async def test_a_target_without_room_says_so_and_takes_the_copy_once_it_has_some(
    source: str, elsewhere: str, other_server: PostgresServer, tmp_path: Path
) -> None:
    await execute(source, _LARGE)
    move = begun(tmp_path, rows(source, elsewhere))
    await move.run_forward(until="read only")
    assert other_server.process is not None
    server = psutil.Process(other_server.process.pid)
    server.rlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, resource.RLIM_INFINITY))
    with pytest.raises(DatabaseError, match="could not extend file"):
        await move.run_forward()
    server.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await move.run_forward()
    assert (await compare_databases(source, elsewhere)).lines() == []


async def test_a_disk_that_fills_up_under_the_backup_is_said_and_the_run_goes_on_once_there_is_room(
    source: str, target: str, tmp_path: Path
) -> None:
    """A file system that somebody else fills, where we may make one; else a limit of the process."""
    runs = tmp_path / "runs"
    others = runs / "others"
    filled = _mounted(runs)
    try:
        move = begun(runs, rows(source, target))
        await move.run_forward(until="check")
        directory, ends = move.run.directory, rows(source, target)
        if filled:
            await asyncio.to_thread(others.write_bytes, bytes(shutil.disk_usage(runs).free - _ROOM_BYTES))
        limit = None if filled else _ROOM_BYTES // 8
        assert await ended(start(Order(directory, ends, file_bytes=limit))) == 1
        said = _said(directory)
        assert ("No space left on device" if filled else "SIGXFSZ") in said
        assert Run.read(directory).ended("backup") is None
        assert not _left_of_backups(directory)
        await asyncio.to_thread(others.unlink, missing_ok=True)
        assert await ended(start(Order(directory, ends))) == 0
        assert (await compare_databases(source, target)).lines() == []
        assert Run.read(directory).ended("switch") is not None
    finally:
        if filled:
            subprocess.run(["umount", runs], check=True)  # noqa: ASYNC221 - a moment


def _said(directory: Path) -> str:
    return Path(f"{directory}.said").read_text()


def _left_of_backups(directory: Path) -> list[Path]:
    return list(directory.glob("backup*"))


def _mounted(at: Path) -> bool:
    at.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(at)]
    return os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
