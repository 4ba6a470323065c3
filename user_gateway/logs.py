"""JSON log lines on standard error."""

import logging
import sys

import msgspec
import structlog


def configure(level: str) -> None:
    """Log from `level` (DEBUG, INFO, WARNING, ERROR) on; standard output stays free for the line that says ready."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=_to_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.BytesLoggerFactory(file=sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )


def _to_json(event: object, default: object = None) -> bytes:
    del default  # structlog's fallback; what is logged here are numbers and texts
    return msgspec.json.encode(event, enc_hook=str)
