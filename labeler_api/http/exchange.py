"""One request and its answer as they pass: the answer's own header fields, its log line, its metrics and its span."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from time import perf_counter
from typing import Any

from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from labeler_api.db.pool import StatementCount
from labeler_api.http.access_line import account
from labeler_api.http.response import Field
from labeler_api.telemetry.instruments import Instruments
from service_kit.tracing import trace_id

_CLIENT_CLOSED = 499  # nginx's number for a client that left; for the log and the metrics only
_CUT = 502  # for the log and the metrics only, too: what broke off behind an answer that had begun
_ERROR = 400
_SERVER_ERROR = 500
_UNMATCHED = "unmatched"

_READ_ON_BYTES = 64 * 1024 * 1024  # what an early refusal reads on, so that the browser sees the answer
_READ_ON_SECONDS = 10.0  # 64 MiB over 50 Mbit/s; a body that takes longer comes from a client that is slow on purpose
_LAST_READ_ON_SECONDS = 1.0  # of a process that is about to end: the answer must still go out

# For whatever a browser makes of an answer: nothing is loaded from it, run by it, or framed. What needs more says so.
_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_NO_SNIFFING = (b"x-content-type-options", b"nosniff")


class Exchange:
    """Receives and sends for a request. The query string is never kept: that of a media link is a credential."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, statements: StatementCount, fields: Sequence[Field] = ()
    ) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._statements = statements
        self._fields = fields
        """What every answer has in its header."""
        self._started = perf_counter()
        self._begun_with: int | None = None
        self._whole = self._left = self._body_ended = False
        self._received = self._sent = 0
        self._trace_id: str | None = None

    async def receive(self) -> Message:
        """Receive, and count the bytes of the body."""
        message = await self._receive()
        self._received += len(message.get("body", b""))
        if message["type"] == "http.disconnect":
            self._left = self._body_ended = True
        elif not message.get("more_body", False):
            self._body_ended = True
        return message

    async def send(self, message: Message) -> None:
        """Send, and count the bytes of the body that the connection has taken."""
        if message["type"] == "http.response.start":
            if message["status"] >= _ERROR:
                await self._read_on()
            self._begun_with = message["status"]
            message["headers"] = with_fields(message.get("headers", ()), self._fields)
            await self._send(message)
            return
        await self._send(message)
        if not message.get("more_body", False):
            self._whole = True
        self._sent += len(message.get("body", b""))

    @property
    def has_begun(self) -> bool:
        """Whether the answer has begun: then there can be no other one."""
        return self._begun_with is not None

    def read_no_further(self) -> None:
        """Have an error sent at once, though the body may still be arriving."""
        self._body_ended = True

    async def _read_on(self) -> None:
        """Read on, bounded, before an error is sent while the body is still arriving.

        A server that answers and closes while the browser is sending makes a network error of a good JSON answer.
        """
        if self._body_ended or not _has_body(self._scope):
            return
        is_last = self._scope["app"].state.services.draining.begun
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_READ_ON_SECONDS if is_last else _READ_ON_SECONDS):
                left = _READ_ON_BYTES
                while not self._body_ended and left > 0:
                    left -= len((await self.receive()).get("body", b"")) or 1

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

    def _status(self, outcome: str) -> int:
        if outcome == "refused":
            return int(self._scope["state"]["refused"])
        if outcome == "whole":
            return self._begun_with or _CLIENT_CLOSED
        return _CUT if outcome == "cut" else _CLIENT_CLOSED

    @property
    def status(self) -> int:
        """The status for the log and the metrics: the client's, if it got the whole answer."""
        return self._status(self.outcome)

    def span(self, instruments: Instruments) -> AbstractContextManager[Any]:
        """Open the request's span, below that of whoever called; it gets its name when the route is known."""
        parent = dict(Headers(scope=self._scope))
        attributes = {"http.request.method": self._scope["method"], "url.path": self._scope["path"]}
        return instruments.tracing.span(self._scope["method"], "SERVER", attributes, parent)

    def describe(self, span: Any) -> None:
        """Say in the span what came of the request; while it is the current one."""
        self._trace_id = trace_id()
        state, route, status = self._scope["state"], self.route, self.status
        span.update_name(f"{self._scope['method']} {route}")
        span.set_attributes({"http.route": route, "http.response.status_code": status})
        span.set_attributes({"labeler.request_id": state["request_id"], "labeler.statements": self._statements.value})
        if status >= _SERVER_ERROR:
            span.set_attribute("error.type", str(status))

    def ended(self, instruments: Instruments) -> None:
        """Write the access line and count the request."""
        scope, route, seconds = self._scope, self.route, perf_counter() - self._started
        outcome = self.outcome
        if self._begun_with is not None and outcome != "whole":
            instruments.metrics.answers_cut.labels(route, outcome).inc()
        account(
            instruments,
            request_id=scope["state"]["request_id"],
            method=scope["method"],
            route=route,
            status=self._status(outcome),
            outcome=outcome,
            seconds=seconds,
            statements=self._statements.value,
            user_id=scope["state"].get("user_id"),
            received_bytes=self._received,
            sent_bytes=self._sent,
            trace_id=self._trace_id,
        )

    @property
    def route(self) -> str:
        """The route's template; one word for whatever matches none."""
        route = self._scope.get("route")
        return route.path if isinstance(route, Route) else _UNMATCHED


def with_fields(given: Sequence[Field], fields: Sequence[Field]) -> list[Field]:
    """Add header fields to those that an answer has, and what browsers may do with it where it does not say so."""
    names = [name for name, _ in given]
    more = [field for field in (_NO_SNIFFING, _POLICY) if field[0] not in names]
    return [*given, *fields, *more]


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
