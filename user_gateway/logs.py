"""JSON log lines on standard error."""

import asyncio
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

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
    plain.setFormatter(_OneLine())
    logging.basicConfig(handlers=[plain], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    logging.raiseExceptions = False
    return lines


class _OneLine(logging.Formatter):
    """What a library says, as one JSON line. Of an exception its type and place: its text may quote a row."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "event": record.getMessage(),
            "logger": record.name,
            "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line |= _described(record.exc_info[1])
        return msgspec.json.encode(line).decode()


def unretrieved(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what asyncio finds that nobody waited for; its own handler writes a traceback over many lines."""
    del loop
    error = context.get("exception")
    described = _described(error) if isinstance(error, BaseException) else {}
    structlog.get_logger(__name__).error("unhandled in the event loop", what=context.get("message"), **described)


def _described(error: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "type": type(error).__qualname__,
        "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }


def _to_json(event: object, default: object = None) -> bytes:
    del default  # structlog's fallback; what is logged here are numbers and texts
    return msgspec.json.encode(event, enc_hook=str)
