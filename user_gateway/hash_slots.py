"""How many passwords are checked at once: by one process, or by all workers of one gateway together."""

import fcntl
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

Release = Callable[[], None]


class HashSlots(Protocol):
    """Places for checks. None of the methods waits; `take` and what it returns may be called from any thread."""

    @property
    def number(self) -> int:
        """How many there are."""

    @property
    def free(self) -> bool:
        """Whether `take` would get one now."""

    def take(self) -> Release | None:
        """Take a place and return what gives it back; None where all are taken."""


class OwnSlots:
    """The places of a process that is alone."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._taken = 0
        self._lock = threading.Lock()

    @property
    def free(self) -> bool:
        """Whether there is one."""
        return self._taken < self.number

    def take(self) -> Release | None:
        """Take one."""
        with self._lock:
            if self._taken >= self.number:
                return None
            self._taken += 1
        return self._release

    def _release(self) -> None:
        with self._lock:
            self._taken -= 1


class SharedSlots:
    """The places of all workers: a file for each in one directory; the worker that locks the file has the place.

    The kernel takes the lock from a worker that ends, however it ends. Slots of each worker's own would stay unused:
    a client keeps to one worker for minutes.
    """

    def __init__(self, directory: Path, number: int) -> None:
        self.number = number
        self._files = [os.open(directory / f"slot-{each}", os.O_RDWR | os.O_CREAT, 0o600) for each in range(number)]
        self._own: set[int] = set()
        self._lock = threading.Lock()

    @property
    def free(self) -> bool:
        """Whether there is one. Another worker may take it the next moment."""
        release = self.take()
        if release is None:
            return False
        release()
        return True

    def take(self) -> Release | None:
        """Take the first whose lock is to be had."""
        with self._lock:
            for slot, file in enumerate(self._files):
                if slot not in self._own and _locked(file):
                    self._own.add(slot)
                    return partial(self._release, slot)
        return None

    def _release(self, slot: int) -> None:
        with self._lock:
            self._own.discard(slot)
            fcntl.flock(self._files[slot], fcntl.LOCK_UN)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
