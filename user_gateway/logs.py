"""JSON log lines on standard error."""

import logging
import sys

import msgspec
import structlog

from service_kit import logs


def configure(level: str) -> logs.LineWriter:
    """Log from `level` (DEBUG, INFO, WARNING, ERROR) on; standard output stays free for the line that says ready."""
    lines = logs.start(sys.stderr)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=_to_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=logs.LineLoggerFactory(lines),
        cache_logger_on_first_use=True,
    )
    plain = logs.LineHandler(lines)  # what libraries say, asyncio among them
    plain.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    logging.basicConfig(handlers=[plain], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    logging.raiseExceptions = False
    return lines


def _to_json(event: object, default: object = None) -> bytes:
    del default  # structlog's fallback; what is logged here are numbers and texts
    return msgspec.json.encode(event, enc_hook=str)
