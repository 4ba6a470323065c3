"""What others than the gateway say in its log: one JSON line each, and no text of an exception."""

import asyncio
import io
import json
import logging
from typing import Any

import structlog

from user_gateway import logs


def raised() -> Exception:
    try:
        raise ValueError("the row of leak@example.com")
    except ValueError as error:
        return error


def test_a_library_says_one_json_line() -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs._OneLine())
    error = raised()
    record = logging.LogRecord("grpc", logging.ERROR, __file__, 1, "failed %s", ("twice",), (type(error), error, None))
    handler.emit(record)
    line: dict[str, Any] = json.loads(written.getvalue())
    assert written.getvalue().count("\n") == 1
    assert line["event"] == "failed twice"
    assert line["logger"] == "grpc"
    assert line["level"] == "error"
    assert line["type"] == "ValueError"
    assert "test_log_lines.py" in line["at"][0]
    assert "leak" not in written.getvalue()


async def test_a_task_that_nobody_waits_for_is_one_line() -> None:
    async def fail() -> None:
        raise raised()

    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(logs.unretrieved)
    try:
        with structlog.testing.capture_logs() as lines:
            task = asyncio.create_task(fail())
            await asyncio.wait([task])
            del task
            await asyncio.sleep(0)
    finally:
        loop.set_exception_handler(before)
    assert [(line["log_level"], line["type"], line["what"]) for line in lines] == [
        ("error", "ValueError", "Task exception was never retrieved")
    ]
    assert "leak" not in repr(lines)
