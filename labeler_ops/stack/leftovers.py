"""Processes of an earlier start that outlived it, and the traces that would keep the next one from starting.

Normally there are none: every part dies with its supervisor. Where the kernel could not see to that, the pids that
the supervisor wrote down say what is left; a pid counts only with the start time that belongs to it.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from labeler_ops.errors import StackError
from labeler_ops.stack.home import Home
from labeler_ops.stack.processes import POLL_SECONDS, Process

_RECORD = "run"
_ASK_SECONDS = 10.0  # PostgreSQL writes a checkpoint when it is asked to end
_KILL_SECONDS = 10.0
_SAME_START_SECONDS = 2.0  # start times are read from the boot time, which follows the clock's corrections


def record(home: Home, parts: Iterable[Process]) -> None:
    """Write down which processes belong to this start."""
    found = {}
    for part in parts:
        try:
            found[part.name] = [part.pid, psutil.Process(part.pid).create_time()]
        except psutil.NoSuchProcess:
            continue  # it has just died: the watch says so
    home.remember(_RECORD, found)


async def remove(home: Home) -> None:
    """End what is left of an earlier start. Raises StackError when something cannot be ended."""
    left = [*_recorded(home), *_inside(home.postgres_data)]
    for process in left:
        _quietly(process.terminate)
    left = await _still_there(left, _ASK_SECONDS)
    for process in left:
        _quietly(process.kill)
    left = await _still_there(left, _KILL_SECONDS)
    if left:
        raise StackError(f"processes of an earlier start cannot be ended: kill {' '.join(str(p.pid) for p in left)}")
    # The pid in it may belong to a stranger by now, and PostgreSQL would take that one for itself.
    (home.postgres_data / "postmaster.pid").unlink(missing_ok=True)
    home.remember(_RECORD, {})


def _recorded(home: Home) -> list[psutil.Process]:
    found = []
    for pid, created_at in home.recall(_RECORD).values():
        try:
            process = psutil.Process(pid)
            if abs(process.create_time() - created_at) < _SAME_START_SECONDS:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def _inside(data_dir: Path) -> list[psutil.Process]:
    """Find PostgreSQL's processes: each of them works in the data directory."""
    if not (data_dir / "postmaster.pid").exists():
        return []
    return [process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == str(data_dir)]


async def _still_there(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    deadline = time.monotonic() + seconds
    while left := [process for process in processes if _alive(process)]:
        if time.monotonic() > deadline:
            return left
        await asyncio.sleep(POLL_SECONDS)
    return []


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _quietly(action: Callable[[], None]) -> None:
    # It may have ended meanwhile, or not be ours to end: the wait that follows tells.
    with contextlib.suppress(psutil.Error):
        action()
