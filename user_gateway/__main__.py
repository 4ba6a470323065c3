"""`python -m user_gateway`: run the gateway until SIGTERM or SIGINT."""

import asyncio
import os
import signal
import sys

import msgspec
import uvloop

from service_kit import tracing
from service_kit.logs import tell
from service_kit.settings import EXIT_CONFIGURATION, SettingsError
from user_gateway import logs
from user_gateway.catalog import CatalogError
from user_gateway.server import Gateway
from user_gateway.settings import Settings, load
from user_gateway.writable_role import NotReadOnly

_LAST_LINES_SECONDS = 2.0  # for the log at the end; a pipe that nobody reads takes none of them


def main() -> int:
    """Read the settings, run, and return the exit code."""
    try:
        settings = load()
        lines = logs.configure(settings.variables.log_level)
        try:
            checking = uvloop.run(_run(settings))
        finally:
            lines.close(_LAST_LINES_SECONDS)
    except (SettingsError, NotReadOnly, CatalogError) as error:
        tell(sys.stderr, f"user_gateway: {error}\n".encode())
        return EXIT_CONFIGURATION
    if checking:
        # Whoever asked has left, and Python would wait for the threads, some seconds of a core each.
        os._exit(0)
    return 0


async def _run(settings: Settings) -> int:
    """Serve; return how many passwords are still being checked."""
    asked_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(logs.unretrieved)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop.set)
    spans = tracing.from_environment(os.environ, "user_gateway")
    gateway = Gateway(settings, spans)
    await gateway.start()
    _announce(gateway, settings)
    await asked_to_stop.wait()
    await gateway.stop()
    await asyncio.to_thread(spans.close)
    return gateway.checking


def _announce(gateway: Gateway, settings: Settings) -> None:
    """Tell a supervisor that the ports are bound: one JSON line, on standard output or in the ready file."""
    line = msgspec.json.encode({"port": gateway.port, "health_port": gateway.health_port, "pid": os.getpid()}) + b"\n"
    path = settings.variables.user_gateway_ready_file
    if path is None:
        tell(sys.stdout, line)
        return
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_bytes(line)
    scratch.replace(path)  # the file appears whole


if __name__ == "__main__":
    sys.exit(main())
