"""The numbers of the gateway, in Prometheus' form; docs/observability.md lists them."""

from collections.abc import Callable
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from service_kit import event_loop, logs
from service_kit.metrics import process_watcher, text_of
from service_kit.metrics_directory import metrics_directory

# From a look-up by key (1 ms) to the longest call (5 s); a password takes half a second.
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

Watcher = Callable[[], None]
GaugeMode = Literal["livesum", "livemin"]


class Metrics:
    """Every metric. Label values are methods, codes and callers' names from the settings; never an id."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._watchers: list[Watcher] = []
        self._children: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self._calls = self._counter("calls", "Calls answered.", "method", "code", "caller")
        self._seconds = Histogram(
            "user_gateway_call_seconds", "Duration of calls.", ["method"], buckets=_SECONDS, registry=self._registry
        )
        self.calls_open = self._gauge("calls_open", "Calls under way.")
        self.connections = self._gauge("db_connections", "Connections of the pool.", "state")
        # Of workers the one that is worst off counts: any of them may get the next connection.
        self.available = self._gauge("db_available", "1 while the User DB answers.", mode="livemin")
        self.verifies = self._gauge("verifies", "1 while the role may read the password hashes.", mode="livemin")
        self.hash_slots = self._gauge("hash_slots", "Passwords that may be checked at once, and that are.", "state")
        self.event_loop_lag = Histogram(
            "user_gateway_event_loop_lag_seconds",
            "How late the event loop was, ten times a second.",
            buckets=event_loop.LAG_BUCKETS,
            registry=self._registry,
        )
        self._lines_dropped = self._counter("log_lines_dropped", "Lines of the log that were not written.")
        self._lines_seen = logs.dropped()
        if metrics_directory() is None:
            ProcessCollector(registry=self._registry)
        else:
            self.watch(process_watcher(self._registry))

    def watch(self, watcher: Watcher) -> None:
        """Call `watcher` whenever the gauges are to be brought up to date."""
        self._watchers.append(watcher)

    def call_ended(self, method: str, code: str, caller: str | None, seconds: float) -> None:
        """Count a call; `caller` is None for one that was not let in."""
        key = method, code, caller or "unknown"
        known = self._children.get(key)
        if known is None:  # to look a child up by its labels takes longer than all the rest of this
            known = self._children[key] = (self._calls.labels(*key), self._seconds.labels(method))
        known[0].inc()
        known[1].observe(seconds)

    def text(self) -> bytes:
        """Return what Prometheus reads: the metrics of this process, or of all workers together."""
        self.sample()
        return text_of(self._registry)

    def sample(self) -> None:
        """Bring what is looked up from time to time up to date."""
        for watcher in self._watchers:
            watcher()
        dropped = logs.dropped()
        self._lines_dropped.inc(dropped - self._lines_seen)
        self._lines_seen = dropped

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"user_gateway_{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str, mode: GaugeMode = "livesum") -> Gauge:
        return Gauge(f"user_gateway_{name}", text, labels, registry=self._registry, multiprocess_mode=mode)
