"""What a supervisor is told when the ports are bound."""

import os
import sys

import msgspec

from service_kit.logs import tell
from user_gateway.settings import Settings


def announce(settings: Settings, port: int, health_port: int | None) -> None:
    """Write one JSON line, to standard output or into the ready file."""
    line = msgspec.json.encode({"port": port, "health_port": health_port, "pid": os.getpid()}) + b"\n"
    path = settings.variables.user_gateway_ready_file
    if path is None:
        tell(sys.stdout, line)
        return
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_bytes(line)
    scratch.replace(path)  # the file appears whole
