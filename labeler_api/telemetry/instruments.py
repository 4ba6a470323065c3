"""What watches the service work: its metrics and its traces, made once by the lifespan."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from labeler_api.telemetry.metrics import Metrics
from service_kit.tracing import Tracing


@dataclass(frozen=True, slots=True)
class Instruments:
    """Given to every part that talks to another one. The default counts for itself and traces nothing."""

    metrics: Metrics = field(default_factory=Metrics)
    tracing: Tracing = field(default_factory=Tracing)

    @contextmanager
    def job(self, kind: str) -> Iterator[None]:
        """Count, time and trace one run of a job of the queue, which belongs to no request."""
        with self.metrics.job(kind), self.tracing.span(f"job {kind}", "INTERNAL", {"labeler.job": kind}):
            yield
