"""Traces: OpenTelemetry spans where an exporter is configured (OTEL_*), and no cost where none is.

Spans are made by hand at the few places where a service leaves its process, so that what goes into them is a
short list: route templates, SQL texts without values, methods, codes. Never a query string (that of a media link is a
credential), a header, a value, or the text of an exception. Nothing of OpenTelemetry is imported until it is wanted.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import time_ns
from typing import TYPE_CHECKING, Any, Literal

from service_kit.settings import SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

Kind = Literal["SERVER", "CLIENT", "INTERNAL"]
Value = str | int | float | bool

_OPERATION = re.compile(r"\s*(?:/\*.*?\*/\s*)*([A-Za-z]+)", re.DOTALL)
_PROTOCOL = "http/protobuf"


class Tracing:
    """Starts spans; without a provider every method does nothing."""

    def __init__(self, provider: "TracerProvider | None" = None, service: str = "") -> None:
        self._provider = provider
        self._tracer: Any = provider.get_tracer(service) if provider else None

    @property
    def on(self) -> bool:
        """Whether spans are made."""
        return self._tracer is not None

    def span(
        self, name: str, kind: Kind, attributes: Mapping[str, Value], parent: Mapping[str, str] | None = None
    ) -> "AbstractContextManager[Span | None]":
        """Make a span the current one while the block runs; `parent` are the headers of who called us."""
        return self._span(name, kind, attributes, parent) if self.on else nullcontext()

    @contextmanager
    def _span(
        self, name: str, kind: Kind, attributes: Mapping[str, Value], parent: Mapping[str, str] | None
    ) -> "Iterator[Span]":
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind

        context = extract(parent) if parent is not None else None
        with self._tracer.start_as_current_span(
            name,
            context,
            kind=SpanKind[kind],
            attributes=attributes,
            record_exception=False,  # its text may quote a row or a link
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", type(error).__qualname__)
                set_failed(span)
                raise

    def headers(self) -> list[tuple[str, str]]:
        """The W3C headers that carry the current span on to another service."""
        if not self.on:
            return []
        from opentelemetry.propagate import inject

        carrier: dict[str, str] = {}
        inject(carrier)
        return list(carrier.items())

    def statement_ended(self, query: Any) -> None:
        """Make a span of a statement that ended just now: asyncpg calls this with its LoggedQuery.

        Statements that belong to no request, such as a queue's polling, would be traces of their own: left out.
        """
        from opentelemetry.trace import SpanKind

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
            set_failed(span)
        span.end(ended)

    def close(self) -> None:
        """Send what is left; waits for the exporter, so not for the event loop."""
        if self._provider is not None:
            self._provider.shutdown()


def set_failed(span: "Span") -> None:
    """Mark a span as that of something that failed."""
    from opentelemetry.trace import StatusCode

    span.set_status(StatusCode.ERROR)


def trace_id() -> str | None:
    """The id of the current trace, as 32 hex digits; None outside one, and where nothing is traced."""
    trace = sys.modules.get("opentelemetry.trace")
    context = trace.get_current_span().get_span_context() if trace is not None else None
    return format(context.trace_id, "032x") if context is not None and context.is_valid else None


def from_environment(environ: Mapping[str, str], service: str) -> Tracing:
    """Read OTEL_*: on with OTEL_TRACES_EXPORTER (otlp, console) or OTEL_EXPORTER_OTLP_ENDPOINT.

    Raises SettingsError for an exporter that is not built in.
    """
    names = exporters(environ)
    if not names:
        return Tracing()
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = "OTEL_SERVICE_NAME" in environ or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    # The SDK reads the rest of OTEL_* itself: sampler, limits, batches, endpoints and their headers.
    provider = TracerProvider(
        resource=Resource.create({} if named else {"service.name": service}),
        shutdown_on_exit=False,  # `close` does it
    )
    for name in names:
        provider.add_span_processor(BatchSpanProcessor(_EXPORTERS[name]()))
    return Tracing(provider, service)


def exporters(environ: Mapping[str, str]) -> list[str]:
    """Name the exporters that OTEL_* asks for: none, usually. Raises SettingsError for one that is not built in."""
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

    # One line a span, on standard error.
    return ConsoleSpanExporter(out=sys.stderr, formatter=lambda span: span.to_json(indent=None) + "\n")


_EXPORTERS: Mapping[str, "Callable[[], SpanExporter]"] = {"otlp": _otlp, "console": _console}
