"""The one layer between the server and the routes.

Every request passes it, and every layer costs each message a call. So what all requests have in common is done here, in
this order: who the client is, pre-flights, the request id, the count of statements, the span, the answer, the access
line. The answer's own part is in `Exchange`.
"""

import asyncio
from contextlib import nullcontext

import structlog
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from labeler_api.context import Services
from labeler_api.db.pool import StatementCount, statements
from labeler_api.errors import AppError
from labeler_api.http import errors
from labeler_api.http.answer_fields import AnswerFields, request_id
from labeler_api.http.exchange import Exchange, with_fields
from labeler_api.http.input.header_lookup import by_name
from labeler_api.http.server.client_address import ClientAddress
from labeler_api.process.draining import stopping
from labeler_api.settings import Settings


class Application(Starlette):
    """Starlette with this layer around its router, in place of its own."""

    def __init__(self, settings: Settings, router: Router) -> None:
        super().__init__()
        self.router = router
        self._layer = RequestLayer(settings, router)

    def build_middleware_stack(self) -> ASGIApp:
        """Return the layer."""
        return self._layer


class RequestLayer:
    """Hands each request to the router; it is answered, logged, counted and traced however it ends."""

    def __init__(self, settings: Settings, router: Router) -> None:
        self._router = router
        self._address = ClientAddress(
            proxies=settings.trusted_proxies, header=settings.client_address_header, hops=settings.trusted_hops
        )
        self._fields = AnswerFields(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run a request, or the lifespan."""
        if scope["type"] != "http":
            await self._router(scope, receive, send)
            return
        fields = scope["fields"] = by_name(scope["headers"])
        if self._address.is_named_in(fields):
            self._address.rewrite(scope)
        origin = fields.get(b"origin")
        if scope["method"] == "OPTIONS" and origin is not None and b"access-control-request-method" in fields:
            await self._preflight(scope, receive, send)
            return
        own_id = request_id(fields.get(b"x-request-id"))
        scope.setdefault("state", {})["request_id"] = own_id.decode()
        counter = StatementCount(outer=statements.get())
        await self._run(scope, Exchange(scope, receive, send, counter, self._fields.of(origin, own_id)), counter)

    async def _run(self, scope: Scope, exchange: Exchange, counter: StatementCount) -> None:
        services: Services = scope["app"].state.services
        instruments = services.instruments
        counted = statements.set(counter)
        # Bound for every log line of the request, and for the gateway, whose lines then carry the same id.
        bound = structlog.contextvars.bind_contextvars(request_id=scope["state"]["request_id"])
        instruments.metrics.open += 1
        try:
            with exchange.span(instruments) if instruments.tracing.on else nullcontext() as span:
                try:
                    await self._answer(scope, exchange)
                finally:
                    if span is not None:
                        exchange.describe(span)
        finally:
            structlog.contextvars.reset_contextvars(**bound)
            statements.reset(counted)
            instruments.metrics.open -= 1
            exchange.ended(instruments)

    async def _answer(self, scope: Scope, exchange: Exchange) -> None:
        """Answer, if need be with an error. One after the first byte cuts the connection: it must not look whole."""
        own_id: str = scope["state"]["request_id"]
        try:
            await self._router(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            pass
        except asyncio.CancelledError:
            services: Services = scope["app"].state.services
            if exchange.has_begun or not services.draining.begun:
                raise
            # The time to stop is over. Passed on, the server would answer with a text that no browser lets a page read.
            exchange.read_no_further()
            await errors.render(stopping(), own_id)(scope, exchange.receive, exchange.send)
        except Exception as error:
            await _response(error, exchange, own_id)(scope, exchange.receive, exchange.send)

    async def _preflight(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a pre-flight, which belongs to the request behind it: it has no id and no line of its own."""

        async def send_with_fields(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = with_fields(message["headers"], self._fields.https)
            await send(message)

        await self._fields.cors.preflight_response(Headers(scope=scope))(scope, receive, send_with_fields)


def _response(error: Exception, exchange: Exchange, request_id: str) -> Response:
    """Make the answer to an error. One that nobody expected says nothing but the request id."""
    if not exchange.has_begun and isinstance(error, AppError):
        return errors.render(error, request_id)
    if not exchange.has_begun and isinstance(error, HTTPException):
        return errors.render_http(error, request_id)
    structlog.get_logger("labeler_api").exception("unexpected error", request_id=request_id, exc_info=error)
    if exchange.has_begun:
        raise error
    exchange.read_no_further()
    return errors.unexpected(request_id)
