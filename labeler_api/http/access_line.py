"""The access line of a request, and its part in the metrics: the same for whatever answered it."""

from datetime import UTC, datetime

import msgspec
from msgspec import UNSET, Struct, UnsetType

from labeler_api.telemetry.instruments import Instruments


class AccessLine(Struct):
    """All that the line of a request says.

    It skips what other lines pass (labeler_api/process/serving.py) to get the request's id or to show an exception:
    that would take a tenth of a short request's time.
    """

    request_id: str
    method: str
    route: str
    status: int
    outcome: str
    duration_ms: float
    statements: int
    user_id: int | None
    received_bytes: int
    sent_bytes: int
    trace_id: str | UnsetType
    timestamp: datetime
    event: str = "request"
    level: str = "info"


_encode = msgspec.json.Encoder().encode


def account(
    instruments: Instruments,
    *,
    request_id: str,
    method: str,
    route: str,
    status: int,
    outcome: str,
    seconds: float,
    statements: int,
    user_id: int | None,
    received_bytes: int,
    sent_bytes: int,
    trace_id: str | None,
) -> None:
    """Write the access line of a request that has ended, and count it."""
    line = AccessLine(
        request_id,
        method,
        route,
        status,
        outcome,
        round(seconds * 1000, 2),
        statements,
        user_id,
        received_bytes,
        sent_bytes,
        trace_id or UNSET,
        datetime.now(UTC),
    )
    instruments.access_line(_encode(line))
    metrics = instruments.metrics
    metrics.request_ended(method, route, status, seconds, statements)
    if route.startswith("/media/"):
        metrics.media_bytes(route)(sent_bytes)
