"""JSON log lines on standard error."""

import asyncio
import logging
import sys
import traceback
from collections.abc import MutableMapping
from datetime import UTC, datetime
from time import gmtime, strftime, time_ns
from typing import Any, NamedTuple

import msgspec
import structlog

from service_kit import logs

_JSON = msgspec.json.Encoder(enc_hook=str)


def configure(level: str) -> logs.LineWriter:
    """Log from `level` (DEBUG, INFO, WARNING, ERROR) on; standard output stays free for the line that says ready."""
    lines = logs.start(sys.stderr)
    structlog.configure(
        processors=[_rendered],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=logs.LineLoggerFactory(lines),
        cache_logger_on_first_use=True,
    )
    global _call_lines  # noqa: PLW0603 - logs belong to the process, as structlog's configuration does
    _call_lines = _CallLines(lines, wanted=logging.getLevelNamesMapping()[level] <= logging.INFO)
    plain = logs.LineHandler(lines)  # what libraries say, asyncio among them
    plain.setFormatter(_OneLine())
    logging.basicConfig(handlers=[plain], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    logging.raiseExceptions = False
    return lines


def call_ended(fields: dict[str, Any]) -> None:
    """Write the line of a call at INFO, without structlog's way to it, which takes longer than the line."""
    if _call_lines is None:  # nothing was configured, as in a test
        structlog.get_logger(__name__).info("call", **fields)
    elif _call_lines.wanted:
        fields["event"] = "call"
        _call_lines.writer.write(_rendered(None, "info", fields))


class _CallLines(NamedTuple):
    writer: logs.LineWriter
    wanted: bool


_call_lines: _CallLines | None = None


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


def _rendered(_logger: object, level: str, event: MutableMapping[str, Any]) -> bytes:
    """Make the line. One step in place of structlog's four, which took half of a line's time; there is one a call."""
    event["level"] = level
    event["timestamp"] = _CLOCK.now()
    return _JSON.encode(event)


class _Clock:
    """Says the time as ISO 8601 in UTC. The text of a second is made once: there are hundreds of lines in one."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def now(self) -> str:
        second, microsecond = divmod(time_ns() // 1_000, 1_000_000)
        if second != self._second:
            self._text, self._second = strftime("%Y-%m-%dT%H:%M:%S", gmtime(second)), second
        return f"{self._text}.{microsecond:06d}Z"


_CLOCK = _Clock()
