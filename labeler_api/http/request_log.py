"""One request as it is seen from outside: its log line, its metrics and its span."""

from contextlib import AbstractContextManager
from time import perf_counter
from typing import Any

import structlog
from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from labeler_api.db.pool import StatementCount
from labeler_api.telemetry.instruments import Instruments
from service_kit.tracing import trace_id

_CLIENT_CLOSED = 499  # nginx's number for a client that left; for the log and the metrics only
_CUT = 502  # for the log and the metrics only, too: what broke off behind an answer that had begun
_SERVER_ERROR = 500
_UNMATCHED = "unmatched"

log = structlog.get_logger("labeler_api.access")


class Exchange:
    """Counts what goes in and out. The query string is never kept: that of a media link is a credential."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, statements: StatementCount) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._statements = statements
        self._started = perf_counter()
        self._begun_with: int | None = None
        self._whole = self._left = False
        self._received = self._sent = 0
        self._trace_id: str | None = None

    async def receive(self) -> Message:
        """Receive, and count the bytes of the body."""
        message = await self._receive()
        self._received += len(message.get("body", b""))
        self._left = self._left or message["type"] == "http.disconnect"
        return message

    async def send(self, message: Message) -> None:
        """Send, and count the bytes of the body that the connection has taken."""
        if message["type"] == "http.response.start":
            self._begun_with = message["status"]
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._whole = True
        self._sent += len(message.get("body", b""))

    @property
    def outcome(self) -> str:
        """What came of it: whole, cut (by us or the store), left (by the client), refused or ended by the server."""
        state = self._scope["state"]
        if "refused" in state:
            return "refused"
        if "ended" in state:
            return "ended"
        if self._whole:
            return "whole"
        return "left" if self._left or self._begun_with is None else "cut"

    @property
    def status(self) -> int:
        """The status for the log and the metrics: the client's, if it got the whole answer."""
        outcome = self.outcome
        if outcome == "refused":
            return int(self._scope["state"]["refused"])
        if outcome == "whole":
            return self._begun_with or _CLIENT_CLOSED
        return _CUT if outcome == "cut" else _CLIENT_CLOSED

    def span(self, instruments: Instruments) -> AbstractContextManager[Any]:
        """Open the request's span, below that of whoever called; it gets its name when the route is known."""
        tracing = instruments.tracing
        parent = dict(Headers(scope=self._scope)) if tracing.on else None
        attributes = {"http.request.method": self._scope["method"], "url.path": self._scope["path"]}
        return tracing.span(self._scope["method"], "SERVER", attributes, parent)

    def describe(self, span: Any) -> None:
        """Say in the span what came of the request; while it is the current one."""
        if span is None:
            return
        self._trace_id = trace_id()
        state = self._scope["state"]
        route = self.route
        span.update_name(f"{self._scope['method']} {route}")
        span.set_attributes({"http.route": route, "http.response.status_code": self.status})
        span.set_attributes({"labeler.request_id": state["request_id"], "labeler.statements": self._statements.value})
        if self.status >= _SERVER_ERROR:
            span.set_attribute("error.type", str(self.status))

    def ended(self, instruments: Instruments) -> None:
        """Write the access line and count the request."""
        scope, route, seconds = self._scope, self.route, perf_counter() - self._started
        traced = {"trace_id": self._trace_id} if self._trace_id else {}
        log.info(
            "request",
            request_id=scope["state"]["request_id"],
            method=scope["method"],
            route=route,
            status=self.status,
            outcome=self.outcome,
            duration_ms=round(seconds * 1000, 2),
            statements=self._statements.value,
            user_id=scope["state"].get("user_id"),
            received_bytes=self._received,
            sent_bytes=self._sent,
            **traced,
        )
        metrics = instruments.metrics
        metrics.request_ended(scope["method"], route, self.status, seconds, self._statements.value)
        if self._begun_with is not None and self.outcome != "whole":
            metrics.answers_cut.labels(route, self.outcome).inc()
        if route.startswith("/media/"):
            metrics.media_bytes.labels(route).inc(self._sent)

    @property
    def route(self) -> str:
        """The route's template with the prefix it is mounted under; one word for whatever matches none."""
        route = self._scope.get("route")
        return f"{self._scope.get('root_path', '')}{route.path}" if isinstance(route, Route) else _UNMATCHED
