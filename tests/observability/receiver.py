"""An OTLP/HTTP receiver: keeps the spans that are sent to it, and every byte of theirs."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    start: int
    end: int
    attributes: dict[str, str]


class Receiver:
    """What has arrived; written by the server's threads, read by the test."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.raw = b""
        self.port = 0

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        self.raw += body
        for resource in request.resource_spans:
            facts = {item.key: item.value.string_value for item in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [
                    Span(
                        service=facts["service.name"],
                        name=span.name,
                        kind=span.kind,
                        trace_id=span.trace_id.hex(),
                        span_id=span.span_id.hex(),
                        parent_id=span.parent_span_id.hex(),
                        start=span.start_time_unix_nano,
                        end=span.end_time_unix_nano,
                        attributes={
                            item.key: item.value.string_value or str(item.value.int_value) for item in span.attributes
                        },
                    )
                    for span in scope.spans
                ]

    def trace(self, trace_id: str) -> list[Span]:
        return sorted((span for span in self.spans if span.trace_id == trace_id), key=lambda span: span.start)

    async def until(self, arrived: Callable[[], bool], seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while not arrived():  # noqa: ASYNC110 - the spans come from another process
                await asyncio.sleep(0.02)


def tree(spans: list[Span], parent_id: str = "", depth: int = 0) -> Iterator[str]:
    """The spans as indented lines, children below their parents."""
    ids = {span.span_id for span in spans}
    for span in spans:
        if span.parent_id == parent_id or (depth == 0 and span.parent_id not in ids):
            shown = span.attributes.get("db.query.text", "")[:60]
            yield f"{'  ' * depth}{span.service}: {span.name} {(span.end - span.start) / 1e6:.2f} ms {shown}".rstrip()
            yield from tree(spans, span.span_id, depth + 1)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver on a free port of this machine."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the standard library
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
