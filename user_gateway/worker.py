"""`python -m user_gateway.worker DIRECTORY`: one of several processes on a port. user_gateway/workers.py starts it.

It tells its supervisor on standard output how it is, every second and whenever that changes. When standard input ends,
the supervisor is gone, and the worker stops, too. DIRECTORY has the places for password checks.
"""

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from service_kit.logs import tell
from service_kit.settings import EXIT_CONFIGURATION, SettingsError
from user_gateway.catalog import CatalogError
from user_gateway.hash_slots import SharedSlots
from user_gateway.server import Gateway
from user_gateway.serving import serve
from user_gateway.settings import load
from user_gateway.writable_role import UserRoleCanWrite

REPORT_SECONDS = 1.0


class Report(msgspec.Struct, frozen=True):
    """What a worker says of itself."""

    serving: bool
    log_ins: bool


def main() -> int:
    """Serve beside the others."""
    try:
        settings = load()
        serve(settings, _report, SharedSlots(Path(sys.argv[1]), settings.hash_slots))
    except (SettingsError, UserRoleCanWrite, CatalogError) as error:
        tell(sys.stderr, f"user_gateway: {error}\n".encode())
        return EXIT_CONFIGURATION
    return 0


def _report(gateway: Gateway, stop: asyncio.Event) -> None:
    """Begin to report, and to listen for the end of the supervisor."""
    os.set_blocking(sys.stdout.fileno(), False)  # a supervisor that does not read holds nobody up
    loop = asyncio.get_running_loop()
    said: Report | None = None

    def say(*, changed_only: bool = False) -> None:
        nonlocal said
        serving, log_ins = gateway.status()
        report = Report(serving, log_ins)
        if changed_only and report == said:
            return
        said = report
        with suppress(OSError):
            os.write(sys.stdout.fileno(), msgspec.json.encode(report) + b"\n")

    def tick() -> None:
        gateway.sample()
        say()
        loop.call_later(REPORT_SECONDS, tick)

    async def changed(_available: bool) -> None:
        say(changed_only=True)

    def heard() -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            loop.remove_reader(sys.stdin.fileno())
            stop.set()

    gateway.on_change(changed)
    loop.add_reader(sys.stdin.fileno(), heard)
    tick()


if __name__ == "__main__":
    sys.exit(main())
