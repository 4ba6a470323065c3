"""Logs of the stack's parts, bounded: each part has a file, and one older file.

A part writes to a descriptor that it was given, and cannot be told to open another file. Its log is therefore copied
and cut to nothing where it lies; the part appends (O_APPEND), and goes on at the beginning. What it writes in the
instant between the copy and the cut is lost.
"""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

LIMIT_BYTES = 10 * 2**20  # twice that for each of four parts: 80 MiB; a quiet stack fills a file in weeks
CHECK_SECONDS = 1.0  # the API writes 3 MiB a second at most, which a file is larger than its limit by
_PIECE_BYTES = 2**20


def before(path: Path) -> Path:
    """Where the older file is."""
    return path.with_suffix(path.suffix + ".1")


def rotate(paths: Iterable[Path]) -> None:
    """Turn every log that is over the limit. A disk that is full takes no copy; the log is cut all the same."""
    for path in paths:
        with contextlib.suppress(OSError):
            if path.stat().st_size > LIMIT_BYTES:
                _turn(path)


def _turn(path: Path) -> None:
    with path.open("r+b") as log:
        try:
            _copy_end(log.fileno(), before(path))
        except OSError:
            before(path).unlink(missing_ok=True)  # half a copy: its room is needed
        log.truncate(0)


def _copy_end(log: int, target: Path) -> None:
    """Copy the newest lines, as many as are allowed, and what is written meanwhile."""
    position = max(0, os.fstat(log).st_size - LIMIT_BYTES)
    with target.open("wb") as copy:
        while piece := os.pread(log, _PIECE_BYTES, position):
            copy.write(piece)
            position += len(piece)
            if copy.tell() > 2 * LIMIT_BYTES:  # a part that writes faster than it can be copied
                return
