"""Free TCP ports on 127.0.0.1.

Between the moment a port is found free and the moment its server binds it, two things could take it. Outgoing
connections do not: ports are drawn from below the kernel's ephemeral range. Other stacks and test runs do not: every
process marks the ports that it has chosen, for as long as it lives, by a name that the kernel gives out once.
"""

import random
import socket
from pathlib import Path

from labeler_ops.errors import StackError

HOST = "127.0.0.1"
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 10_000  # above the well-known services (5432, 8001, 9000 ...)
_USUAL_EPHEMERAL_START = 32_768  # Linux's default, where /proc is not to be read
_ATTEMPTS_PER_PORT = 200  # only a machine with nearly every port taken needs more

_mine: dict[int, int] = {}
"""Ports that this process has chosen, and the descriptors that mark them; the kernel closes those with the process."""


def is_free(port: int, host: str = HOST) -> bool:
    """Say whether a server could listen on `port` now (connections in TIME_WAIT do not count)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Find `count` different free ports; raises StackError when the machine has none left."""
    ceiling = _ephemeral_start()
    found: list[int] = []
    for _ in range(_ATTEMPTS_PER_PORT * count):
        port = random.randrange(_LOWEST, ceiling)  # noqa: S311 - no secret hangs on a port number
        if is_free(port) and _mark(port):
            found.append(port)
            if len(found) == count:
                return found
    raise StackError(f"no {count} free TCP ports between {_LOWEST} and {ceiling} on {HOST}")


def free_port() -> int:
    """Find one free port."""
    return free_ports(1)[0]


def claim(wanted: int, variable: str) -> int:
    """Give the wanted port (0 = any free one); raises StackError naming `variable` when it is taken."""
    if wanted == 0:
        return free_port()
    if not (is_free(wanted) and _mark(wanted)):
        raise StackError(f"port {wanted} is taken: set {variable} to another port, or to 0 for any free one")
    return wanted


def keep_or_find(remembered: list[int], count: int) -> list[int]:
    """Give the ports of the last start when all of them are free and not chosen still, else new ones."""
    if len(set(remembered)) == len(remembered) == count and all(is_free(port) and _mark(port) for port in remembered):
        return remembered
    return free_ports(count)


def _mark(port: int) -> bool:
    """Mark a port as chosen; False when it already is, here for another server or by another process."""
    if port in _mine:
        return False
    # An abstract name of a Unix socket: no file, and gone with the process that holds it.
    mark = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        mark.bind(f"\0image-labeler-port-{port}")
    except OSError:
        mark.close()
        return False
    _mine[port] = mark.detach()
    return True


def _ephemeral_start() -> int:
    try:
        start = int(_EPHEMERAL_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _USUAL_EPHEMERAL_START
    # A machine may hand out ephemeral ports from 1024 on: then there is nothing below to draw from.
    return start if start > _LOWEST + 1_000 else _USUAL_EPHEMERAL_START
