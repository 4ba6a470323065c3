"""What happens around every call: the caller is found, errors become statuses, one line is logged.

grpc.aio sends the text of an unhandled exception to the client, and an exception of the database driver may quote a
row. So nothing but a GatewayError's own text passes here.
"""

import asyncio
import random
import re
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
import structlog
from google.protobuf.message import DecodeError
from google.rpc import code_pb2  # type: ignore[import-untyped]

from service_kit.event_loop import StepWatch
from service_kit.tracing import Tracing, set_failed, trace_id
from user_gateway import errors, logs
from user_gateway.auth import Authenticator, current_caller
from user_gateway.metrics import Metrics

if TYPE_CHECKING:
    from opentelemetry.trace import Span

log = structlog.get_logger(__name__)

current_request_id: ContextVar[str] = ContextVar("current_request_id")
"""Id of the request that the running task serves, the caller's own where it sent a sound one."""

# Open to everybody, as health checkers and grpcurl have no token.
_OPEN = ("/grpc.health.v1.", "/grpc.reflection.")
_SOUND_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")  # what may go into a log line as it is

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Metadata: TypeAlias = Iterable[tuple[str, str | bytes]]
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class CallGuard:
    """Guards every unary call; the streams of health and reflection show no user and pass as they are.

    It wraps the handlers as they are registered. A `grpc.aio.ServerInterceptor` would look them up for each call.
    """

    def __init__(
        self, authenticator: Authenticator, metrics: Metrics, tracing: Tracing, steps: StepWatch | None = None
    ) -> None:
        self._authenticator = authenticator
        self._steps = steps
        self._metrics = metrics
        self._tracing = tracing
        self.under_way = 0  # unary calls that a handler works on

    def guarded(self, method: str, handler: Handler) -> Handler:
        """Return a handler that does as this one, for callers who are let in."""
        if handler.unary_unary is None:  # reflection, and Watch of the health service
            return handler
        behaviour: Any = handler.unary_unary
        deserialize: Any = handler.request_deserializer
        is_open, traced = method.startswith(_OPEN), self._tracing.on

        async def with_span(data: bytes, context: Context) -> object:
            caller = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
            attributes = {"rpc.system.name": "grpc", "rpc.method": method.lstrip("/")}
            with self._tracing.span(method.rpartition(".")[2], "SERVER", attributes, caller) as span:
                return await call(data, context, span)

        async def call(data: bytes, context: Context, span: "Span | None" = None) -> object:
            started = perf_counter()
            code = "OK"
            self.under_way += 1
            try:
                metadata = context.invocation_metadata() or ()  # once: gRPC builds it again each time
                current_request_id.set(_request_id(metadata))
                if not is_open:
                    current_caller.set(self._authenticator.authenticate(metadata))
                working = behaviour(_parsed(data, deserialize), context)
                return await (working if self._steps is None else self._steps.run(method, working))
            except errors.GatewayError as error:
                code = f"{code_pb2.Code.Name(error.code)} {error.reason}"
                await errors.abort(context, error)
            except grpc.aio.AbortError:
                code = "ABORTED BY HANDLER"
                raise
            except asyncio.CancelledError:
                code = "CANCELLED"  # the client left, or its deadline passed
                raise
            except Exception as error:
                code = "INTERNAL INTERNAL"
                _log_defect(method, error)
                await errors.abort(context, _internal())
            finally:
                self.under_way -= 1
                if not is_open:
                    self._ended(method, code, perf_counter() - started, span)

        return grpc.unary_unary_rpc_method_handler(
            with_span if traced and not is_open else call,
            request_deserializer=None,  # `call` parses, so that a malformed request has a reason too
            response_serializer=handler.response_serializer,
        )

    def _ended(self, method: str, code: str, seconds: float, span: "Span | None") -> None:
        """Log, count and trace a call; `code` is the status, with the reason behind it."""
        caller = current_caller.get(None)
        name, short = caller.name if caller else None, method.rpartition("/")[2]
        status = code.partition(" ")[0]
        line = {
            "method": short,
            "code": code,
            "caller": name,
            "request_id": current_request_id.get(""),
            "duration_ms": round(seconds * 1000, 2),
        }
        if span is not None:
            line["trace_id"] = trace_id()
        logs.call_ended(line)
        self._metrics.call_ended(short, status, name, seconds)
        if span is not None:
            span.set_attributes({"rpc.response.status_code": status, "labeler.caller": name or "unknown"})
            if status != "OK":
                set_failed(span)


def _parsed(data: bytes, deserialize: Callable[[bytes], Any]) -> Any:
    try:
        return deserialize(data)
    except DecodeError:
        raise errors.InvalidArgument("REQUEST_MALFORMED", "The request is no message of this call.") from None


def _request_id(metadata: Metadata) -> str:
    for key, value in metadata:
        if key == "x-request-id" and isinstance(value, str) and _SOUND_REQUEST_ID.fullmatch(value):
            return value
    return f"{random.getrandbits(128):032x}"  # to find a line by, and no secret; for a UUID the kernel is asked


def _internal() -> errors.Internal:
    request_id = current_request_id.get("")
    return errors.Internal(
        "INTERNAL",
        f"Something went wrong in the gateway; request id {request_id}.",
        metadata={"request_id": request_id},
    )


def _log_defect(method: str, error: Exception) -> None:
    # Type and place, never the text: a driver's message may quote an address or a hash.
    frames = traceback.extract_tb(error.__traceback__)
    log.error(
        "unhandled exception",
        method=method,
        request_id=current_request_id.get(""),
        type=type(error).__qualname__,
        sqlstate=getattr(error, "sqlstate", None),
        at=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    )


class GuardedServer:
    """What the generated `add_…_to_server` functions register their handlers with: each is guarded first."""

    def __init__(self, server: grpc.aio.Server, guard: CallGuard) -> None:
        self._server = server
        self._guard = guard

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Serve what these handlers serve, guarded."""
        self._server.add_generic_rpc_handlers(
            tuple(_GuardedHandlers(handlers, self._guard) for handlers in generic_rpc_handlers)
        )

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Handler]) -> None:
        """Serve these methods, guarded. gRPC finds them by name, and asks the generic handlers for the others only."""
        guarded = {
            name: self._guard.guarded(f"/{service_name}/{name}", handler) for name, handler in method_handlers.items()
        }
        self._server.add_registered_method_handlers(service_name, guarded)


class _GuardedHandlers(grpc.GenericRpcHandler):
    """Finds the guarded handler of a method, which is made once."""

    def __init__(self, handlers: grpc.GenericRpcHandler, guard: CallGuard) -> None:
        self._handlers = handlers
        self._guard = guard
        self._guarded: dict[str, Handler] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "Handler | None":
        """Return the handler; None where there is no such method."""
        method = str(handler_call_details.method)
        if (known := self._guarded.get(method)) is not None:
            return known
        handler = self._handlers.service(handler_call_details)
        if handler is None:
            return None
        self._guarded[method] = self._guard.guarded(method, handler)
        return self._guarded[method]
