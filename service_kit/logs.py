"""Log lines that never harm a request: written by a thread, from a queue with a bound.

A full disk, a closed pipe or a pipe that nobody reads costs lines, which are counted, and nothing else.
"""

import contextlib
import logging
import os
import select
import threading
import time
from collections import deque
from typing import IO, Any

_QUEUE_BYTES = 4 * 1024 * 1024  # some ten thousand lines, a second of the busiest process
_TOGETHER_BYTES = 4096  # PIPE_BUF: what is written to a pipe at once is not mixed with other processes' lines
# Lines of a twentieth of a second travel together; a process that is killed loses no more. To wake the thread for every
# line or two cost a quiet gateway a tenth of a look-up's CPU time.
_GATHER_SECONDS = 0.05
_FULL_SECONDS = 1.0  # a pipe that does not wait is asked again for so long


class LineWriter:
    """Writes lines to a file descriptor from a thread of its own. `write` returns at once, whatever becomes of them."""

    def __init__(self, descriptor: int | None, queue_bytes: int = _QUEUE_BYTES) -> None:
        self.dropped = 0
        """Lines that were not written: there was no room, or the device did not take them."""
        self._descriptor = descriptor
        self._queue_bytes = queue_bytes
        self._lock = threading.Lock()
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._wake = threading.Event()
        self._closing = False
        self._torn = False
        # A daemon: a pipe that nobody reads must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Take one line, without its end. Never waits and never raises."""
        with self._lock:
            if self._bytes + len(line) >= self._queue_bytes:
                self.dropped += 1
                return
            self._lines.append(line)
            self._bytes += len(line) + 1
        if self._closing:  # the last lines of a process, after the thread
            self._write_what_fits()
        elif not self._wake.is_set():
            self._wake.set()

    def close(self, seconds: float) -> None:
        """Write what is left, for so long at most. Later lines are written where that needs no waiting."""
        self._closing = True
        self._wake.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait()
            self._wake.clear()
            self._write_all()
            time.sleep(0 if self._closing else _GATHER_SECONDS)
        self._write_all()

    def _write_all(self) -> None:
        while lines := self._next():
            self._put(lines)

    def _write_what_fits(self) -> None:
        if self._thread.is_alive() or self._descriptor is None:
            return
        with contextlib.suppress(OSError, ValueError):
            _, ready, _ = select.select([], [self._descriptor], [], 0)
            if ready:
                self._write_all()

    def _next(self) -> list[bytes]:
        lines: list[bytes] = []
        size = 0
        with self._lock:
            while self._lines and (not lines or size + len(self._lines[0]) < _TOGETHER_BYTES):
                lines.append(self._lines.popleft())
                size += len(lines[-1]) + 1
            self._bytes -= size
        return lines

    def _put(self, lines: list[bytes]) -> None:
        # What broke off is ended first, so that the next line is whole.
        data = (b"\n" if self._torn else b"") + b"\n".join(lines) + b"\n"
        left = memoryview(data)
        try:
            while left:
                left = left[self._write_some(left) :]
            self._torn = False
        except (OSError, ValueError):
            self._torn = self._torn or len(left) < len(data)
            self.dropped += len(lines)

    def _write_some(self, data: memoryview) -> int:
        if self._descriptor is None:
            raise OSError
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:  # somebody set the descriptor so; it is shared with whoever started this process
            _, ready, _ = select.select([], [self._descriptor], [], _FULL_SECONDS)
            if not ready:
                raise
            return 0


class LineLogger:
    """What structlog hands its rendered events to: each method takes a line of bytes."""

    def __init__(self, writer: LineWriter) -> None:
        self.msg = writer.write
        self.debug = self.info = self.warning = self.error = self.critical = writer.write
        self.log = self.fatal = self.exception = self.failure = writer.write


class LineLoggerFactory:
    """Makes the one logger of a process."""

    def __init__(self, writer: LineWriter) -> None:
        self._logger = LineLogger(writer)

    def __call__(self, *_: Any) -> LineLogger:
        """Return it, whatever its name."""
        return self._logger


class LineHandler(logging.Handler):
    """The standard library's loggers, to the same writer."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """Hand the line over."""
        try:
            line = self.format(record)
        except Exception:  # a record that cannot be formatted is no reason to fail
            self._writer.dropped += 1
            return
        self._writer.write(line.encode("utf-8", "backslashreplace"))


def descriptor(stream: IO[str] | None) -> int | None:
    """Return the stream's number; None for one that was closed before the process began: others use its number now."""
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError):
        return None


def tell(stream: IO[str] | None, line: bytes) -> None:
    """Write one line that somebody may wait for, and go on where it cannot be written. Waits a second at most."""
    number = descriptor(stream)

    def write() -> None:
        if number is not None:
            with contextlib.suppress(OSError):
                os.write(number, line)

    thread = threading.Thread(target=write, name="tell", daemon=True)
    thread.start()
    thread.join(_FULL_SECONDS)


_process: LineWriter | None = None


def start(stream: IO[str] | None) -> LineWriter:
    """Start the writer of this process, on the stream; the same one again when it was started."""
    global _process  # noqa: PLW0603 - logs belong to the process, as its standard output does
    if _process is None:
        _process = LineWriter(descriptor(stream))
    return _process


def running() -> LineWriter | None:
    """The writer of this process, where it was started."""
    return _process


def dropped() -> int:
    """How many lines this process did not write."""
    return 0 if _process is None else _process.dropped
