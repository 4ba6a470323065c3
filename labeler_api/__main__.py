"""`python -m labeler_api`: read the settings, then serve until SIGTERM."""

import logging
import sys

import structlog
import uvicorn

from labeler_api.settings import SettingsError, load

_KEEP_ALIVE_SECONDS = (
    75  # longer than the 60 s of Railway's edge, so that the edge closes first and no request meets a closed door
)


def main() -> None:
    """Serve. Exit status 2 when a setting is missing or wrong, 1 when the port is taken."""
    try:
        settings = load()
    except SettingsError as error:
        sys.exit(_refuse(str(error)))
    configure_logging(settings.log_level)
    uvicorn.run(
        "labeler_api.__main__:application",
        factory=True,
        host=settings.api_host,
        port=settings.api_port,
        workers=settings.api_workers,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.api_shutdown_seconds,
    )


def application() -> object:
    """Make the application, once a worker."""
    from labeler_api.app import create_app

    settings = load()
    configure_logging(settings.log_level)
    return create_app(settings)


def configure_logging(level: str) -> None:
    """JSON lines on stdout, our own and those of the libraries."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    numeric = logging.getLevelNamesMapping()[level]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processor=structlog.processors.JSONRenderer(), foreign_pre_chain=shared)
    )
    logging.basicConfig(handlers=[handler], level=max(numeric, logging.WARNING), force=True)
    logging.getLogger("uvicorn").setLevel(numeric)


def _refuse(text: str) -> int:
    print(f"labeler_api cannot start:\n{text}", file=sys.stderr)  # noqa: T201 - for whoever started it
    return 2


if __name__ == "__main__":
    main()
