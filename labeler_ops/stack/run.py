"""One foreground run: the home directory is locked, signals end it, an ephemeral home is gone afterwards."""

import asyncio
import contextlib
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from labeler_ops.errors import StackError
from labeler_ops.stack.home import Home
from labeler_ops.stack.settings import StackSettings
from labeler_ops.stack.supervisor import Supervisor
from labeler_ops.stack.terminal import Terminal

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_EPHEMERAL_PREFIX = "labeler-ephemeral-"


async def in_foreground(settings: StackSettings, terminal: Terminal) -> None:
    """Run the stack until a signal comes. Raises StackError when it cannot start, or a part dies."""
    with _home(settings) as root:
        home = Home(root)
        with home.locked():
            await _until_signalled(Supervisor(settings, home, terminal), terminal)


async def _until_signalled(supervisor: Supervisor, terminal: Terminal) -> None:
    run = asyncio.ensure_future(supervisor.run())
    asked = False

    def stop() -> None:
        nonlocal asked
        if asked:
            supervisor.hurry()
            return
        asked = True
        terminal.line("stopping ...")
        run.cancel()

    loop = asyncio.get_running_loop()
    for number in _STOPPING:
        loop.add_signal_handler(number, stop)
    with contextlib.suppress(asyncio.CancelledError):
        await run
    terminal.line("stopped")


@contextlib.contextmanager
def _home(settings: StackSettings) -> Iterator[Path]:
    if not settings.ephemeral:
        yield settings.home
        return
    _sweep()
    directory = Path(tempfile.mkdtemp(prefix=_EPHEMERAL_PREFIX))
    # PostgreSQL may have to run as another account, which must be able to enter.
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def _sweep() -> None:
    """Remove ephemeral homes whose run was killed: nobody holds their lock."""
    for directory in Path(tempfile.gettempdir()).glob(f"{_EPHEMERAL_PREFIX}*"):
        with contextlib.suppress(OSError, StackError), Home(directory).locked():
            shutil.rmtree(directory)
