"""Child processes that do not outlive the process that started them.

Every child gets a parent-death signal from the kernel (`setpriv --pdeathsig`), so that even `kill -9` of the
parent leaves nothing behind, and a session of its own, so that Ctrl-C reaches the parent alone, which stops
its children in the right order. Spawn from the main thread: the kernel sends that signal when the *thread*
that spawned ends.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from labeler_ops.stack import log_files

POLL_SECONDS = 0.02  # a start or stop is noticed this late at worst; costs no CPU to speak of


class Process:
    """A running child and its log."""

    def __init__(self, name: str, popen: "subprocess.Popen[bytes]", log: Path) -> None:
        self.name = name
        self.log = log
        self._popen = popen

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    def exit_code(self) -> int | None:
        """Give the exit code, negative for a signal; None while it runs."""
        return self._popen.poll()

    def tail(self, lines: int = 15) -> str:
        """Give the end of its log."""
        with self.log.open(errors="replace") as stream:
            return "".join(deque(stream, maxlen=lines)).rstrip()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when the process has ended."""
        self._popen.send_signal(number)

    async def stop(self, *steps: tuple[signal.Signals, float]) -> None:
        """Send each step's signal and wait its seconds, until the process ends; SIGKILL is the last step."""
        for number, seconds in steps:
            self.send(number)
            if await self.ended(seconds):
                return
        self.send(signal.SIGKILL)
        await asyncio.to_thread(self._popen.wait)

    async def ended(self, seconds: float) -> bool:
        """Wait at most `seconds` for the process to end; say whether it has."""
        deadline = time.monotonic() + seconds
        while self.exit_code() is None:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True


def spawn(
    name: str,
    argv: Sequence[str | Path],
    *,
    log: Path,
    prefix: Sequence[str] = (),
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
) -> Process:
    """Start `argv` with its output appended to `log`; it gets `death_signal` when this process dies.

    `prefix` is a command that changes the user and then runs the rest (`unshare --user …`).
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with _open_log(log) as output:
        popen = subprocess.Popen(
            # A change of user would clear the parent-death signal: it is set after the prefix has made one.
            [*prefix, *dying_with_parent(death_signal), *map(str, argv)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=dict(env) if env is not None else None,
            start_new_session=True,
        )
    return Process(name, popen, log)


def dying_with_parent(number: signal.Signals) -> list[str]:
    """Give what to put before a command so that it gets the signal when this process ends, however that ends."""
    setpriv = shutil.which("setpriv", path=os.defpath + ":/usr/sbin:/sbin")
    if setpriv is None:
        return []
    # A parent that died before the signal was set has sent none: a process whose parent has changed does not start.
    alive = ["/bin/sh", "-c", 'test "$PPID" = "$0" || exit 1; exec "$@"', str(os.getpid())]
    return [setpriv, "--pdeathsig", number.name.removeprefix("SIG"), "--", *alive]


def _open_log(path: Path) -> IO[bytes]:
    if path.exists() and path.stat().st_size > log_files.LIMIT_BYTES:
        path.replace(log_files.before(path))
    return path.open("ab")
