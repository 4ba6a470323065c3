"""What watches the service work: its metrics, its traces and its access lines, made once by the lifespan."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog

from labeler_api.telemetry.metrics import Metrics
from service_kit import logs
from service_kit.tracing import Tracing

_AS_IT_IS: Any = structlog.wrap_logger(None, processors=[lambda _logger, _level, event: event["event"]])


def line_writer() -> Callable[[bytes], None]:
    """Return what takes lines of the level `info` as they are: the process's own writer, where it was started."""
    writer = logs.running()
    if writer is None:
        return _through_structlog
    return writer.write if structlog.get_logger().is_enabled_for(logging.INFO) else _dropped


def _through_structlog(line: bytes) -> None:
    _AS_IT_IS.info(line)


def _dropped(_line: bytes) -> None:
    """Takes the lines of a process whose log has no line of this level."""


@dataclass(frozen=True, slots=True)
class Instruments:
    """Given to every part that talks to another one. The default counts for itself and traces nothing."""

    metrics: Metrics = field(default_factory=Metrics)
    tracing: Tracing = field(default_factory=Tracing)
    access_line: Callable[[bytes], None] = field(default_factory=line_writer)
    """Takes the line of a request, which is JSON already."""

    @contextmanager
    def job(self, kind: str) -> Iterator[None]:
        """Count, time and trace one run of a job of the queue, which belongs to no request."""
        with self.metrics.job(kind), self.tracing.span(f"job {kind}", "INTERNAL", {"labeler.job": kind}):
            yield
