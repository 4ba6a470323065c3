"""The process of the API: its settings, its log, its socket, its workers."""

import gc
import logging
import os
import resource
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
import structlog
import uvicorn
from uvicorn.supervisors import Multiprocess

from labeler_api.settings import Settings, load
from service_kit import event_loop, logs, tracing
from service_kit.metrics_directory import shared_metrics
from service_kit.settings import EXIT_CONFIGURATION, Problems, SettingsError

Application = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]

_KEEP_ALIVE_SECONDS = (
    75  # longer than the 60 s of Railway's edge: the edge closes first, no request meets a closed door
)
_MOST_FILES = 65_536  # more than API_MAX_CONNECTIONS and the connections behind need
_LAST_LINES_SECONDS = 2.0  # for the log at the end; a pipe that nobody reads takes none of them
# A busy thread holds Python's global lock for so long (Python's default: 0.005). The event loop needs the lock several
# times for each statement: while a long body was checked, a call of some statements took 0.1 s and more.
_SWITCH_SECONDS = 0.000_5
# New objects until the collector looks at them (Python's own: 700, which is three requests). Those of 32 requests under
# way are looked at in vain again and again: a save took 4 % more CPU at 8 connections, and 10 % more at 32.
_NEW_OBJECTS = 10_000
_BACKLOG = 2048  # connections that wait to be accepted; uvicorn's own number
_ACCEPTED_AT_ONCE = 16  # a crowd of 256 is in after 16 turns; each socket more costs each new connection a microsecond


def main() -> None:
    """Serve. Exit status 78 (EX_CONFIG) when a setting is missing or wrong, or the port is taken."""
    problems = Problems()
    with problems.noted():
        settings = load(to_listen=True)
    with problems.noted():
        tracing.exporters(os.environ)
    try:
        problems.refuse()
    except SettingsError as error:
        sys.exit(_refuse(str(error)))
    configure_logging(settings.log_level)
    try:
        listener = listen(settings.api_host, settings.api_port)
    except OSError as error:
        where = f"{settings.api_host}, port {settings.api_port}"
        sys.exit(_refuse(f"API_HOST and API_PORT: cannot listen on {where}: {error.strerror}"))
    with shared_metrics(settings.api_workers):
        serve(settings, listener)


def listen(host: str, port: int) -> socket.socket:
    """Open the socket that every worker shares. `::` takes IPv4 too, as Railway's private network needs both."""
    if host == "::":
        if socket.has_dualstack_ipv6():
            return socket.create_server((host, port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG)
        host = "0.0.0.0"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


def accepting(listener: socket.socket, workers: int) -> list[socket.socket]:
    """Return the socket as often as connections are taken in each turn of a worker's event loop.

    libuv takes one for each socket that it listens on. The rest of a crowd that comes at once would wait for as many
    turns, each of which answers all those who are in. Together the workers take as many as one process does, so that
    the first of them does not take all.
    """
    return [listener, *(listener.dup() for _ in range(_ACCEPTED_AT_ONCE // workers - 1))]


def raise_file_limit() -> None:
    """Allow as many open files as the machine does: the soft limit is 1 024 in many places, which is a few clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def serve(settings: Settings, listener: socket.socket) -> None:
    """Answer until SIGTERM or SIGINT; requests under way are finished, for API_SHUTDOWN_SECONDS at most."""
    config = uvicorn.Config(
        "labeler_api.process.serving:application",
        factory=True,
        workers=settings.api_workers,
        loop="uvloop",
        http="labeler_api.http.server.protocol:BoundedProtocol",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # it believes the leftmost of X-Forwarded-For; see http/server/client_address.py
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.api_shutdown_seconds,
    )
    raise_file_limit()
    # Processes that decode pictures are started by exec, which needs nothing of gRPC's care for forks, and would wait.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    server = uvicorn.Server(config)
    sockets = accepting(listener, settings.api_workers)
    if settings.api_workers > 1:
        Multiprocess(config, sockets=sockets).run()
        return
    server.run(sockets=sockets)
    if not server.started:
        sys.exit(1)


def application() -> Application:
    """Make the application, once a worker; the last lines of its log are written when it has shut down."""
    gc.disable()  # loading makes nothing that it could collect, and looking for it was a seventh of the start
    from labeler_api.app import create_app

    settings = load()
    lines = configure_logging(settings.log_level)
    sys.setswitchinterval(_SWITCH_SECONDS)
    inner = _timed(create_app(settings), settings.event_loop_step_seconds)
    # Objects of now stay. If they are not frozen, a thread that makes many objects has the collector visit these
    # 150 000 as well, which stops the event loop for a quarter of a second each time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
    gc.enable()

    async def application(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        await inner(scope, receive, send)
        if scope["type"] == "lifespan":
            lines.close(_LAST_LINES_SECONDS)

    return application


def _timed(app: Application, step_seconds: float) -> Application:
    """Log what holds the event loop for longer, where EVENT_LOOP_STEP_SECONDS asks for it."""
    if step_seconds == 0:
        return app
    log = structlog.get_logger("labeler_api.event_loop")
    watch = event_loop.StepWatch(
        step_seconds, lambda what, seconds: log.warning("held the event loop", request=what, seconds=round(seconds, 3))
    )

    async def timed(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        await watch.run(f"{scope['method']} {scope['path']}", _run(app, scope, receive, send))

    return timed


async def _run(app: Application, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
    await app(scope, receive, send)


def configure_logging(level: str) -> logs.LineWriter:
    """JSON lines on stdout, our own and those of the libraries; a thread writes them."""
    lines = logs.start(sys.stdout)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        *([_add_trace_id] if tracing.exporters(os.environ) else []),
    ]
    numeric = logging.getLevelNamesMapping()[level]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(serializer=_to_json)],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=logs.LineLoggerFactory(lines),
        cache_logger_on_first_use=True,
    )
    handler = logs.LineHandler(lines)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processor=structlog.processors.JSONRenderer(), foreign_pre_chain=shared)
    )
    logging.basicConfig(handlers=[handler], level=max(numeric, logging.WARNING), force=True)
    logging.captureWarnings(True)  # else they are written to standard error, on the event loop
    logging.raiseExceptions = False  # nor does a line that cannot be written write another one there
    logging.getLogger("uvicorn").setLevel(numeric)
    return lines


def _to_json(event: object, default: object = None, **_: object) -> bytes:
    del default  # structlog's fallback
    return msgspec.json.encode(event, enc_hook=str)


def _add_trace_id(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if (trace_id := tracing.trace_id()) is not None:
        event.setdefault("trace_id", trace_id)
    return event


def _refuse(text: str) -> int:
    logs.tell(sys.stderr, f"labeler_api cannot start:\n{text}\n".encode())
    return EXIT_CONFIGURATION
