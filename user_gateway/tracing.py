"""Traces: OpenTelemetry spans where an exporter is configured (OTEL_*), and no cost where none is.

A call's span stands below the caller's, whose context comes as W3C headers in the metadata. What goes into spans is a
short list: methods, codes, callers' names, SQL texts without values. Nothing of OpenTelemetry is imported until it is
wanted.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import time_ns
from typing import TYPE_CHECKING, Any

from user_gateway.settings import SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

_OPERATION = re.compile(r"\s*([A-Za-z]+)")
_PROTOCOL = "http/protobuf"


class Tracing:
    """Starts spans; without a provider every method does nothing."""

    def __init__(self, provider: "TracerProvider | None" = None) -> None:
        self._provider = provider
        self._tracer: Any = provider.get_tracer("user_gateway") if provider else None

    @property
    def on(self) -> bool:
        """Whether spans are made."""
        return self._tracer is not None

    def call(self, method: str, metadata: Iterable[tuple[str, str | bytes]]) -> AbstractContextManager[Any]:
        """Make the span of a call (`/package.Service/Method`) the current one while the block runs."""
        return self._call(method.lstrip("/"), metadata) if self.on else nullcontext()

    @contextmanager
    def _call(self, method: str, metadata: Iterable[tuple[str, str | bytes]]) -> Iterator[Any]:
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind

        headers = {key: value for key, value in metadata if isinstance(value, str)}
        with self._tracer.start_as_current_span(
            method.rpartition(".")[2],
            extract(headers),
            kind=SpanKind.SERVER,
            attributes={"rpc.system.name": "grpc", "rpc.method": method},
            record_exception=False,  # its text may quote a row
            set_status_on_exception=False,
        ) as span:
            yield span

    def call_ended(self, span: Any, code: str, caller: str | None) -> None:
        """Say in the span what came of the call."""
        if span is None:
            return
        span.set_attributes({"rpc.response.status_code": code, "labeler.caller": caller or "unknown"})
        if code != "OK":
            from opentelemetry.trace import StatusCode

            span.set_status(StatusCode.ERROR)

    def statement_ended(self, query: Any) -> None:
        """Make a span of a statement that ended just now: asyncpg calls this with its LoggedQuery.

        Statements that belong to no request, such as a queue's polling, would be traces of their own: left out.
        """
        from opentelemetry.trace import SpanKind, StatusCode

        if trace_id() is None:
            return
        ended = time_ns()
        operation = _OPERATION.match(query.query)
        span = self._tracer.start_span(
            operation[1].upper() if operation else "SQL",
            kind=SpanKind.CLIENT,
            start_time=ended - int(query.elapsed * 1e9),
            attributes={
                "db.system.name": "postgresql",
                "db.namespace": query.conn_params.database,
                "db.query.text": " ".join(query.query.split()),  # with $1, $2 in place of values
            },
        )
        if query.exception is not None:
            span.set_attribute("error.type", type(query.exception).__qualname__)
            span.set_status(StatusCode.ERROR)
        span.end(ended)

    def close(self) -> None:
        """Send what is left; waits for the exporter, so not for the event loop."""
        if self._provider is not None:
            self._provider.shutdown()


def trace_id() -> str | None:
    """The id of the current trace, as 32 hex digits; None outside one, and where nothing is traced."""
    trace = sys.modules.get("opentelemetry.trace")
    context = trace.get_current_span().get_span_context() if trace is not None else None
    return format(context.trace_id, "032x") if context is not None and context.is_valid else None


def from_environment(environ: Mapping[str, str], service: str) -> Tracing:
    """Read OTEL_*: on with OTEL_TRACES_EXPORTER (otlp, console) or OTEL_EXPORTER_OTLP_ENDPOINT.

    Raises SettingsError for an exporter that is not built in.
    """
    names = _exporters(environ)
    if not names:
        return Tracing()
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = "OTEL_SERVICE_NAME" in environ or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    # The SDK reads the rest of OTEL_* itself: sampler, limits, batches, endpoints and their headers.
    provider = TracerProvider(
        resource=Resource.create({} if named else {"service.name": service}),
        shutdown_on_exit=False,  # the gateway does it
    )
    for name in names:
        provider.add_span_processor(BatchSpanProcessor(_EXPORTERS[name]()))
    return Tracing(provider)


def _exporters(environ: Mapping[str, str]) -> list[str]:
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return []
    endpoint = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    text = environ.get("OTEL_TRACES_EXPORTER") or ("otlp" if endpoint else "none")
    names = [name.strip() for name in text.split(",") if name.strip() not in {"", "none"}]
    if unknown := [name for name in names if name not in _EXPORTERS]:
        raise SettingsError(f"OTEL_TRACES_EXPORTER: expected otlp, console or none, got {', '.join(unknown)}")
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if "otlp" in names and protocol not in {None, "", _PROTOCOL}:
        raise SettingsError(f"OTEL_EXPORTER_OTLP_PROTOCOL: only {_PROTOCOL} is built in, got {protocol!r}")
    return names


def _otlp() -> "SpanExporter":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _console() -> "SpanExporter":
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter

    # One line a span, among the log lines.
    return ConsoleSpanExporter(out=sys.stderr, formatter=lambda span: span.to_json(indent=None) + "\n")


_EXPORTERS: Mapping[str, "Callable[[], SpanExporter]"] = {"otlp": _otlp, "console": _console}
