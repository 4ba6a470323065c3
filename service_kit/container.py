"""What this process may use: the cores and the memory of its container, not those of the host.

Linux counts in control groups: https://docs.kernel.org/admin-guide/cgroup-v2.html (`cpu.max`, `memory.max`) and, on
older hosts, version 1 (`cpu.cfs_quota_us`, `memory.limit_in_bytes`). A group's limit holds for all groups below it.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")
_MIB = 1024 * 1024
_WITHOUT_A_NUMBER = 2 * 1024 * _MIB  # where the machine does not tell its memory: what a small one has


def cores(root: Path = _ROOT) -> int:
    """How many cores this process may use at once, at least one; a part of a core counts as one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [math.ceil(quota) for group in _groups(root, "cpu") if (quota := _quota(group)) is not None]
    return max(1, min([allowed, *quotas]))


def memory_bytes(root: Path = _ROOT) -> int:
    """How much memory this process may use, together with what else runs in its container."""
    names = ("memory.max", "memory.limit_in_bytes")
    limits = [
        limit for group in _groups(root, "memory") for name in names if (limit := _number(group / name)) is not None
    ]
    # Version 1 says "no limit" with a number near 2^63, which the machine's memory is below.
    return min([_machine_bytes(), *(limit for limit in limits if limit > 0)])


def _machine_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return _WITHOUT_A_NUMBER


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the directories of this process's control groups, the nearest first, up to the root of the hierarchy."""
    mounted = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            hierarchies = [mounted, mounted / "unified"]
        elif controller in controllers.split(","):
            hierarchies = [mounted / controllers, mounted / controller]
        else:
            continue
        for hierarchy in hierarchies:
            yield from _upwards(hierarchy, path)


def _upwards(hierarchy: Path, path: str) -> Iterator[Path]:
    """Inside a container the path may be the host's, which is not mounted: the hierarchy's root is the group then."""
    parts = [part for part in path.split("/") if part and part != ".."]
    for length in range(len(parts), -1, -1):
        yield hierarchy.joinpath(*parts[:length])


def _quota(group: Path) -> float | None:
    """Return how many cores the group may use, None without a limit."""
    words = _text(group / "cpu.max").split()
    if len(words) == 2 and words[0].isdigit() and int(words[1]) > 0:  # noqa: PLR2004 - quota and period
        return int(words[0]) / int(words[1])
    quota, period = _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")
    return quota / period if quota and period and quota > 0 else None  # version 1 says "no limit" with -1


def _number(path: Path) -> int | None:
    try:
        return int(_text(path))
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
