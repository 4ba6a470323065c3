"""Nothing that was started outlives who started it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from labeler_ops.stack.processes import Process, spawn

PARENT = """
import sys, asyncio
from pathlib import Path
from labeler_ops.stack.processes import spawn
child = spawn("child", ["sleep", "600"], log=Path(sys.argv[1]))
print(child.pid, flush=True)
sys.stdin.read()
"""
POSTGRES_PARENT = """
import sys, asyncio, os
from pathlib import Path
from labeler_ops.stack.postgres import PostgresServer, find_install
from labeler_ops.stack.ports import free_port
async def main():
    server = PostgresServer(find_install(os.environ), Path(sys.argv[1]), free_port(), durable=False)
    await server.initialise()
    await server.start()
    print(server.process.pid, flush=True)
    sys.stdin.read()
asyncio.run(main())
"""


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until_gone(pid: int, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not is_gone(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.01)


@pytest.mark.parametrize("script", [PARENT, POSTGRES_PARENT], ids=["program", "PostgreSQL"])
def test_a_child_dies_with_a_parent_that_is_killed(script: str, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "data")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not is_gone(child)
        parent.kill()
        parent.wait()
        wait_until_gone(child)


def test_a_child_does_not_begin_when_its_parent_is_gone_already(tmp_path: Path) -> None:
    """The parent is killed between the start of the child and the moment from which the kernel tells it so."""
    slow = tmp_path / "slow"  # what runs before the signal is set takes longer than the parent lives
    slow.write_text('#!/bin/sh\nsleep 1\nexec "$@"\n')
    slow.chmod(0o755)
    script = PARENT.replace('["sleep", "600"],', '["sleep", "600"], prefix=[sys.argv[2]],')
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "log"), str(slow)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        assert not is_gone(child)
        wait_until_gone(child)


async def test_stopping_goes_from_the_gentle_signal_to_the_last(tmp_path: Path) -> None:
    stubborn = spawn("stubborn", ["sh", "-c", "trap '' TERM; echo ready; exec sleep 600"], log=tmp_path / "log")
    await says(stubborn, "ready")
    started = time.monotonic()
    await stubborn.stop((signal.SIGTERM, 0.2))
    assert time.monotonic() - started >= 0.2
    assert stubborn.exit_code() == -signal.SIGKILL


async def test_stopping_what_has_ended_is_fine(tmp_path: Path) -> None:
    short = spawn("short", ["sh", "-c", "echo last words; exit 3"], log=tmp_path / "log")
    assert await short.ended(10)
    await short.stop((signal.SIGTERM, 1))
    assert short.exit_code() == 3
    assert short.tail() == "last words"


async def test_the_tail_is_the_end_of_the_log_whatever_bytes_are_in_it(tmp_path: Path) -> None:
    script = r"for i in $(seq 100); do echo line $i; done; printf '\377\376 end'"
    program = spawn("program", ["sh", "-c", script], log=tmp_path / "log")
    assert await program.ended(10)
    lines = program.tail(3).splitlines()
    assert lines[:2] == ["line 99", "line 100"]
    assert lines[2].endswith("end")


async def test_a_log_that_has_grown_is_moved_aside(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    with log.open("wb") as stream:
        stream.truncate(11 * 2**20)
    program = spawn("program", ["echo", "new"], log=log)
    assert await program.ended(10)
    assert program.tail() == "new"
    assert (tmp_path / "part.log.1").stat().st_size == 11 * 2**20


async def test_ctrl_c_in_the_terminal_does_not_reach_the_children(tmp_path: Path) -> None:
    program = spawn("program", ["sleep", "600"], log=tmp_path / "log")
    try:
        assert os.getpgid(program.pid) != os.getpgid(0)
    finally:
        await program.stop()


async def says(process: Process, text: str) -> None:
    deadline = time.monotonic() + 10
    while text not in process.tail():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
