"""Pure ASGI middleware: request id and access line, unexpected errors, early refusals, CORS."""

import asyncio
import re
import secrets
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from labeler_api.context import Services
from labeler_api.db.pool import StatementCount, statements
from labeler_api.http import errors
from labeler_api.http.request_log import Exchange
from labeler_api.process.draining import stopping

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_DRAIN_BYTES = 64 * 1024 * 1024  # what an early refusal reads on, so that the browser sees the answer
_DRAIN_SECONDS = 10.0  # 64 MiB over 50 Mbit/s; a body that takes longer is of somebody who drips
_LAST_DRAIN_SECONDS = 1.0  # of a process that is about to end: the answer must still go out
_ERROR = 400


# For whatever a browser makes of an answer: nothing is loaded from it, run by it, or framed. What needs more says so.
_CONTENT_POLICY = "default-src 'none'; frame-ancestors 'none'"
_HTTPS_ONLY = "max-age=31536000"  # a year, which browsers count anew with each answer; of this host alone


class SecurityHeaders:
    """Puts on every answer what a browser may do with it, and that it asks by https where that is how it is reached."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._https = https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers.setdefault("Content-Security-Policy", _CONTENT_POLICY)
                if self._https:
                    headers["Strict-Transport-Security"] = _HTTPS_ONLY
            await send(message)

        await self._app(scope, receive, send_with_headers)


class RequestContext:
    """Gives every request an id, counts its statements, and writes one line when it is over."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request; it is logged, counted and traced however it ends."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        services: Services = scope["app"].state.services
        request_id = _request_id(scope)
        state: MutableMapping[str, Any] = scope.setdefault("state", {})
        state["request_id"] = request_id
        counter = StatementCount(outer=statements.get())
        token = statements.set(counter)
        exchange = Exchange(scope, receive, send, counter)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
            await exchange.send(message)

        services.instruments.metrics.open += 1
        try:
            # Bound for every log line of the request, and for the gateway, whose lines then carry the same id.
            with (
                exchange.span(services.instruments) as span,
                structlog.contextvars.bound_contextvars(request_id=request_id),
            ):
                try:
                    await self._app(scope, exchange.receive, send_with_id)
                finally:
                    exchange.describe(span)
        finally:
            statements.reset(token)
            services.instruments.metrics.open -= 1
            exchange.ended(services.instruments)


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


class UnexpectedErrors:
    """Turns an exception that nobody expected into a 500 that says nothing but the request id.

    Stands inside CORS, so that browsers may read the answer, and outside everything else.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request. An error after the first byte cuts the connection: a truncated 200 must not look whole."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def note_start(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, note_start)
        except ClientDisconnect:
            return
        except asyncio.CancelledError:
            services: Services = scope["app"].state.services
            if started or not services.draining.begun:
                raise
            # The time to stop is over. Passed on, the server would answer with a text that no browser lets a page read.
            await errors.render(stopping(), scope["state"]["request_id"])(scope, receive, send)
        except Exception:
            request_id = scope["state"]["request_id"]
            structlog.get_logger("labeler_api").exception("unexpected error", request_id=request_id)
            if started:
                raise
            await errors.unexpected(request_id)(scope, receive, send)


class EarlyRefusals:
    """Reads on, bounded, before an error is sent while the body is still arriving.

    A server that answers and closes while the browser is sending makes a network error of a good JSON answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        body_ended = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers

        async def note_end() -> Message:
            nonlocal body_ended
            message = await receive()
            body_ended = body_ended or message["type"] != "http.request" or not message.get("more_body", False)
            return message

        async def drain_before_error(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= _ERROR:
                draining = scope["app"].state.services.draining
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LAST_DRAIN_SECONDS if draining.begun else _DRAIN_SECONDS):
                        left = _DRAIN_BYTES
                        while not body_ended and left > 0:
                            left -= len((await note_end()).get("body", b"")) or 1
            await send(message)

        await self._app(scope, note_end, drain_before_error)


class Cors(CORSMiddleware):
    """Starlette's, with a JSON answer to a pre-flight that is refused."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a pre-flight; the refusal names what is not allowed."""
        response = super().preflight_response(request_headers)
        if response.status_code < _ERROR:
            return response
        body = (
            b'{"detail":"This origin, method or header is not allowed here; see CORS_ORIGINS.",'
            b'"code":"cors_refused","request_id":null}'
        )
        headers = {
            name: value for name, value in response.headers.items() if name not in {"content-length", "content-type"}
        }
        return Response(body, response.status_code, headers, media_type="application/json")
