"""An operator's process that dies or is killed at a moment of choice, without the cost of starting a Python for each.

The processes are forked off a server that has imported the tool once. Each is a process of its own all the same: what
SIGKILL takes from it is what it takes from `labeler move`.
"""

import asyncio
import itertools
import multiprocessing
import os
import resource
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from labeler_ops.command_result import OPERATOR_ERRORS
from labeler_ops.move import workflow as engine
from labeler_ops.move.context import Endpoints
from labeler_ops.runs import Run
from labeler_ops.storage import inventory, manifest
from tests.labeler_ops.move.moving import again

_ENDS_SECONDS = 60.0
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])


@dataclass(frozen=True)
class Order:
    """What an operator does with a run: `go`, `open` or `rollback`. `die_at` is a phase and an event of the journal.

    At `started` the process dies right after the line is written, at `ended` right before: all is done, nobody knows.
    `die_in` is something that is done over and over, and which time of it is the last.
    """

    directory: Path
    ends: Endpoints
    command: str = "go"
    until: str | None = None
    into: str | None = None
    die_at: tuple[str, str] | None = None
    die_in: tuple[str, int] | None = None
    file_bytes: int | None = None


def start(order: Order) -> ForkServerProcess:
    """Start one; it ends with 0, with 1 for a refusal that is in `<run>.said`, or by a signal."""
    process = _context.Process(target=_work, args=(order,), daemon=True)
    process.start()
    return process


async def ended(process: ForkServerProcess) -> int:
    """Wait for its end; the exit code, negative for a signal."""
    await asyncio.to_thread(process.join, _ENDS_SECONDS)
    assert process.exitcode is not None
    return process.exitcode


async def done(order: Order) -> int:
    """Start one, and wait for its end."""
    return await ended(start(order))


def _work(order: Order) -> None:
    if order.die_at is not None:
        _die_at(*order.die_at)
    if order.die_in is not None:
        _die_in(*order.die_in)
    if order.file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order.file_bytes, order.file_bytes))
    try:
        asyncio.run(_move(order))
    except OPERATOR_ERRORS as error:
        Path(f"{order.directory}.said").write_text(str(error))
        os._exit(1)
    os._exit(0)


async def _move(order: Order) -> None:
    workflow = again(order.directory, order.ends)
    if order.command == "rollback":
        await workflow.rollback(order.into)
    elif order.command == "open":
        await workflow.open()
    else:
        await workflow.run_forward(until=order.until)


def _die_in(what: str, number: int) -> None:
    places = {
        "copied": (manifest.Manifest, "add"),
        "digested": (inventory.Inventory, "note_digests"),
        "written": (engine, "write_variables"),
    }
    owner, name = places[what]
    whole, turns = getattr(owner, name), itertools.count(1)

    def dying(*arguments: Any) -> Any:
        if next(turns) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*arguments)

    setattr(owner, name, dying)


def _die_at(phase: str, event: str) -> None:
    write = Run._write

    def dying(
        run: Run, name: str, happened: str, seconds: float | None = None, facts: Mapping[str, Any] | None = None
    ) -> None:
        now = (name, happened) == (phase, event)
        if not now or event == "started":
            write(run, name, happened, seconds, facts)
        if now:
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(Run, "_write", dying)  # noqa: B010 - a method is not to be assigned to
