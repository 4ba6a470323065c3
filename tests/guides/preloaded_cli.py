"""A `labeler` that has loaded its modules already, so that a guide of twenty commands does not load them twenty times.

One process loads everything and waits at a socket. The script `labeler` that the guides find first sends it its words,
variables, directory and files; a fork does the command as if it had just been started, and says how it ended.
"""

import array
import ctypes
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import labeler_ops
from labeler_ops.cli import main
from labeler_ops.stack.processes import dying_with_parent

_PR_SET_PDEATHSIG = 1  # prctl(2)
_CLIENT = """#!{python} -IS
import array, json, os, socket, sys
wire = socket.socket(socket.AF_UNIX)
wire.connect({path!r})
files = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))
wire.sendmsg([b"files"], [files])
wire.sendall(json.dumps([sys.argv, dict(os.environ), os.getcwd()]).encode() + b"\\n")
sys.exit(int(wire.makefile().readline() or 137))
"""


@contextmanager
def labeler_in(directory: Path) -> Iterator[Path]:
    """Put a script `labeler` into this directory, which works until the block ends; returns it."""
    directory.mkdir(parents=True, exist_ok=True)
    path, script = directory / "socket", directory / "labeler"
    script.write_text(_CLIENT.format(python=sys.executable, path=str(path)))
    script.chmod(0o755)
    words = [*dying_with_parent(signal.SIGKILL), sys.executable, "-m", "tests.guides.preloaded_cli", str(path)]
    with Popen(words, start_new_session=True) as process:
        try:
            while not path.exists():
                assert process.poll() is None, "it did not start"
                time.sleep(0.02)
            yield script
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def serve(path: str) -> None:
    """Wait for commands, and fork for each."""
    for module in pkgutil.walk_packages(labeler_ops.__path__, "labeler_ops."):
        importlib.import_module(module.name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them: they tell their end themselves
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"{path}.new")
    server.listen()
    Path(f"{path}.new").rename(path)
    while True:
        wire, _ = server.accept()
        if os.fork() == 0:
            server.close()
            _command(wire)
        wire.close()


def _command(wire: socket.socket) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # else a test run that is killed leaves it waiting
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, control, _, _ = wire.recvmsg(len(b"files"), socket.CMSG_SPACE(3 * array.array("i").itemsize))
    files = array.array("i")
    files.frombytes(control[0][2])
    for number, file in enumerate(files):
        os.dup2(file, number)
    with wire.makefile() as lines:
        sys.argv, environ, directory = json.loads(lines.readline())
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(directory)
    wire.sendall(f"{_code()}\n".encode())
    os._exit(0)


def _code() -> int:
    try:
        main()
        code: int | str | None = 0
    except SystemExit as end:
        code = end.code
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1
    if isinstance(code, str):
        sys.stderr.write(f"{code}\n")
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code or 0


if __name__ == "__main__":
    serve(sys.argv[1])
