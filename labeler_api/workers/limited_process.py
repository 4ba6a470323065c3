"""Runs in a worker process: one call at a time, with a limit of memory and of CPU time, for work on hostile input.

The kernel holds the limits. A worker that reaches one ends, or its call does; nobody else notices. It imports little,
since every worker pays for it: labeler_api.workers.decoders is the other side.
"""

import contextlib
import ctypes
import io
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

try:
    import resource
except ImportError:  # only where there is no fork either
    resource = None  # type: ignore[assignment]

CPU_SECONDS = 20  # a picture of 350 million pixels takes 2 to 8; whole seconds, as the kernel counts them
_SLACK_BYTES = 96 * 1024 * 1024  # what the interpreter and the libraries take beside the pixels
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


@dataclass(frozen=True, slots=True)
class InputBytes:
    """The bytes to work on: themselves when they are few, else where the kernel shows the sender's open file."""

    content: bytes | None
    path: str = ""

    def open(self) -> IO[bytes]:
        """Open it for reading, from its beginning."""
        return Path(self.path).open("rb") if self.content is None else io.BytesIO(self.content)


@dataclass(frozen=True, slots=True)
class Needs:
    """A call's answer when it was allowed too little memory to begin."""

    memory_bytes: int


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """The call needed more memory than it was allowed and had asked for."""


_own_bytes: int | None = None  # address space of this process before its first call


def prepare(parent: int) -> None:
    """Make the process ready, once: it dies with its parent, and requests go before it."""
    global _own_bytes  # noqa: PLW0603 - one process, one thread, and nobody to hand it to
    if _own_bytes is not None:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the kernel was asked to tell
            os._exit(1)
    os.nice(5)  # on a busy machine pictures wait for requests, not requests for pictures
    from PIL import Image

    Image.init()  # reads all formats: the first picture need not
    _own_bytes = _address_space()


def run(parent: int, function: Callable[..., Any], source: InputBytes, memory_bytes: int, *rest: Any) -> Any:
    """Call `function(file, memory_bytes, *rest)` under the limits. Returns what it returns, or OutOfMemory."""
    prepare(parent)
    _limit(memory_bytes)
    try:
        with source.open() as file:
            return function(file, memory_bytes, *rest)
    except MemoryError:
        return OutOfMemory()
    finally:
        _unlimit()


def _limit(memory_bytes: int) -> None:
    if resource is None:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 1 + CPU_SECONDS
    _set(resource.RLIMIT_CPU, seconds)
    if _own_bytes:  # not known but on Linux, which alone holds this limit
        _set(resource.RLIMIT_AS, _own_bytes + memory_bytes + _SLACK_BYTES)


def _unlimit() -> None:
    """What the answer needs is not the call's."""
    if resource is not None:
        _set(resource.RLIMIT_AS, resource.RLIM_INFINITY)


def _set(kind: int, soft: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY and (soft == resource.RLIM_INFINITY or soft > hard):
        soft = hard
    with contextlib.suppress(ValueError, OSError):  # a kernel that has no such limit
        resource.setrlimit(kind, (soft, hard))


def _address_space() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
