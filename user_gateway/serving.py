"""One process that serves until it is told to stop."""

import asyncio
import gc
import os
import signal
from collections.abc import Callable

import uvloop

from service_kit import tracing
from user_gateway import logs
from user_gateway.hash_slots import HashSlots
from user_gateway.server import Gateway
from user_gateway.settings import Settings

_LAST_LINES_SECONDS = 2.0  # for the log at the end; a pipe that nobody reads takes none of them

Listening = Callable[[Gateway, asyncio.Event], None]
"""Told when calls are answered; setting the event stops the process."""


def serve(settings: Settings, listening: Listening, slots: HashSlots | None = None) -> None:
    """Serve until SIGTERM or SIGINT. Raises SettingsError, UserRoleCanWrite or CatalogError where it cannot."""
    lines = logs.configure(settings.variables.log_level)
    try:
        checking = uvloop.run(_run(settings, listening, slots))
    finally:
        lines.close(_LAST_LINES_SECONDS)
    if checking:
        # The callers have left, and Python would wait for the threads, some seconds of a core each.
        os._exit(0)


async def _run(settings: Settings, listening: Listening, slots: HashSlots | None) -> int:
    """Serve; return how many passwords are still being checked."""
    asked_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(logs.unretrieved)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop.set)
    spans = tracing.from_environment(os.environ, "user_gateway")
    gateway = Gateway(settings, spans, slots=slots)
    await gateway.start()
    # Objects of now stay: the collector need not visit them again and again while calls run.
    gc.collect()
    gc.freeze()
    listening(gateway, asked_to_stop)
    await asked_to_stop.wait()
    await gateway.stop()
    await asyncio.to_thread(spans.close)
    return gateway.checking
