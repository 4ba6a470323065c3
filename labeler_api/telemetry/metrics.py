"""The metrics of one process, in Prometheus' form; docs/observability.md lists them.

With several workers each writes its metrics into files of one directory (PROMETHEUS_MULTIPROC_DIR, made by
`service_kit.metrics_directory` before prometheus_client is imported), and whichever worker is asked adds them all up.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from functools import cache
from time import perf_counter
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service_kit import event_loop, logs
from service_kit.metrics import process_watcher, text_of
from service_kit.metrics_directory import metrics_directory

_SAMPLE_SECONDS = 5.0  # how old another worker's gauges may be; scrapes come every 15 to 60 s
# From a look-up by key (1 ms) to what browsers wait for at most (30 s).
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# Waiting for a connection takes microseconds until the pool is empty.
_SHORT_SECONDS = (0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)
_STATEMENTS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)  # budgets are below ten; what is beyond is to be looked at
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

GaugeMode = Literal["livesum", "liveall", "livemax", "livemin"]
ResultOf = Callable[[BaseException], str]
Watcher = Callable[[], None]
Count = Callable[[], None]
Observe = Callable[[float], None]


class Metrics:
    """Every metric of the API. Label values come from fixed sets: route templates, methods, codes; never an id."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._watchers: list[Watcher] = [self._show_requests]
        self._requests()
        self._database()
        self._gateway()
        self._storage()
        self._jobs = self._counter("jobs", "Runs of queued jobs.", "kind", "result")
        self._job_seconds = self._histogram("job_seconds", "Duration of those runs.", _SECONDS, "kind")
        # Every process counts the same queue: the sum over them would say it several times.
        self._jobs_due = self._gauge("jobs_due", "Queued jobs whose time has come.", "kind", mode="livemax")
        self._jobs_due_seconds = self._gauge(
            "jobs_due_seconds", "How long the first of them has waited.", "kind", mode="livemax"
        )
        self._parts = self._gauge(
            "part_available", "1 while a part answered the last look of a probe.", "part", mode="livemin"
        )
        self._looked_at = self._gauge(
            "parts_looked_at_seconds", "When that look was, in seconds since 1970.", mode="livemax"
        )
        self._slots: set[str] = set()
        self._replication_lag = self._gauge(
            "db_replication_lag_bytes", "What a subscriber of the Labeler DB has not confirmed.", "slot", mode="livemax"
        )
        self.event_loop_lag = self._histogram(
            "event_loop_lag_seconds", "How late the event loop was, ten times a second.", event_loop.LAG_BUCKETS
        )
        self._lines_dropped = self._counter("log_lines_dropped", "Lines of the log that were not written.")
        self._lines_seen = logs.dropped()
        self._watchers += (self._show_lines, process_watcher(self.registry))

    def _requests(self) -> None:
        self.requests = self._counter("http_requests", "Requests answered.", "method", "route", "status")
        self.request_seconds = self._histogram(
            "http_request_seconds", "From the first byte in to the last byte out.", _SECONDS, "method", "route"
        )
        self.request_statements = self._histogram(
            "http_request_statements", "SQL statements of a request.", _STATEMENTS, "method", "route"
        )
        self.open = 0
        self._requests_open = self._gauge("http_requests_open", "Requests under way.")
        # Finding a metric by its labels costs as much as counting: those of a route are remembered.
        self._by_route: dict[tuple[str, str, int], tuple[Count, Observe, Observe]] = {}
        self.answers_cut = self._counter(
            "http_answers_cut", "Answers that began and did not become whole: cut, left or ended.", "route", "outcome"
        )
        self.connections_open = self._gauge("connections_open", "Connections of clients.")
        self.connections_ended = self._counter(
            "connections_ended", "Connections that the server refused or ended, and why.", "reason"
        )
        media_bytes = self._counter("media_bytes", "Bytes of images, thumbnails and exports sent.", "route")
        self.media_bytes = cache(lambda route: media_bytes.labels(route).inc)
        """What counts the bytes of a route."""

    def _database(self) -> None:
        self.acquire_seconds = self._histogram(
            "db_acquire_seconds", "Wait for a connection of the pool.", _SHORT_SECONDS, "database"
        )
        self.acquire_failures = self._counter("db_acquire_failures", "No connection was to be had.", "database")
        self.connections = self._gauge("db_connections", "Connections of the pool.", "database", "state")
        self.waiting = self._gauge("db_waiting", "Who waits for a connection.", "database")
        self.share_waiting = self._gauge("db_share_waiting", "Who waits for a place in a share of the pool.", "share")
        self.share_refused = self._counter("db_share_refused", "Who waited in vain for such a place.", "share")

    def _gateway(self) -> None:
        lookups = self._counter(
            "user_cache_lookups", "Look-ups of users: hit, miss, or stale while the gateway is away.", "result"
        )
        self.cache_hits, self.cache_misses, self.cache_stale = map(lookups.labels, ("hit", "miss", "stale"))
        self.gateway_calls = self._counter("gateway_calls", "Calls of the user gateway.", "method", "code")
        self.gateway_seconds = self._histogram("gateway_call_seconds", "Duration of those calls.", _SECONDS, "method")
        self.limit_storage_shared = self._gauge(
            "rate_limit_storage_shared",
            "1 while the limits are counted in a storage that all processes share.",
            mode="livemin",  # workers that count for themselves are not made up for by others
        )
        self.limit_storage_failures = self._counter(
            "rate_limit_storage_failures", "Questions that the shared storage did not answer in time."
        )

    def _storage(self) -> None:
        self.store_calls = self._counter("object_store_calls", "Calls of the object store.", "operation", "result")
        self.store_seconds = self._histogram(
            "object_store_call_seconds", "Until the store's answer begins.", _SECONDS, "operation"
        )
        self.streams_open = self._gauge("object_streams_open", "Objects being read from the store.")
        self.streams_refused = self._counter("streams_refused", "Images and exports that got no place.", "reason")
        self.thumbnail_lookups = self._counter("thumbnail_lookups", "Thumbnails asked for: hit or miss.", "result")
        self._thumbnail_hit, self._thumbnail_miss = (
            self.thumbnail_lookups.labels(result).inc for result in ("hit", "miss")
        )
        self.thumbnail_bytes = self._gauge("thumbnail_cache_bytes", "Size of the thumbnails in memory.")
        self._deletions_refused = self._counter(
            "object_deletions_refused",
            "Deletions of objects that were not begun, since the bucket is not tied to this database: "
            "missing, other or unreadable.",
            "state",
        )
        # From the start, at 0: an increase is only seen of a series that was there before it.
        for state in ("missing", "other", "unreadable"):
            self._deletions_refused.labels(state)

        self._swept = self._counter("sweep_objects", "Objects that a sweep listed, or removed.", "what")
        self._sweep_stops = self._counter("sweep_stops", "Sweeps that removed nothing, since a person has to decide.")

    def watch(self, watcher: Watcher) -> None:
        """Call `watcher` whenever the gauges are to be brought up to date."""
        self._watchers.append(watcher)

    def request_ended(self, method: str, route: str, status: int, seconds: float, statements: int) -> None:
        """Count a request."""
        key = (method if method in _METHODS else "other", route, status)
        found = self._by_route.get(key)
        if found is None:
            found = self._by_route[key] = self._of_route(*key)
        count, observe_seconds, observe_statements = found
        count()
        observe_seconds(seconds)
        observe_statements(statements)

    def _of_route(self, method: str, route: str, status: int) -> "tuple[Count, Observe, Observe]":
        return (
            self.requests.labels(method, route, str(status)).inc,
            self.request_seconds.labels(method, route).observe,
            self.request_statements.labels(method, route).observe,
        )

    def _show_requests(self) -> None:
        self._requests_open.set(self.open)

    def _show_lines(self) -> None:
        dropped = logs.dropped()
        self._lines_dropped.inc(dropped - self._lines_seen)
        self._lines_seen = dropped

    def thumbnail_looked_up(self, found: bool) -> None:
        """Count a look-up in the cache of thumbnails."""
        (self._thumbnail_hit if found else self._thumbnail_miss)()

    def deletion_refused(self, state: str) -> None:
        """Count a deletion that the tie of the buckets did not allow."""
        self._deletions_refused.labels(state).inc()

    def swept(self, listed: int, removed: int, *, stopped: bool) -> None:
        """Count what a sweep did."""
        self._swept.labels("listed").inc(listed)
        self._swept.labels("removed").inc(removed)
        self._sweep_stops.inc(stopped)

    def store_call(self, operation: str, result_of: ResultOf) -> AbstractContextManager[None]:
        """Count and time one call of the object store; `result_of` says what an exception of it means."""
        return _observed(self.store_calls, self.store_seconds, operation, result_of)

    def job(self, kind: str) -> AbstractContextManager[None]:
        """Count and time one run of a job."""
        return _observed(self._jobs, self._job_seconds, kind)

    def jobs_due(self, kinds: Mapping[str, tuple[int, float]]) -> None:
        """Show how many jobs of each kind are due, and for how many seconds the first has been."""
        for kind, (number, seconds) in kinds.items():
            self._jobs_due.labels(kind).set(number)
            self._jobs_due_seconds.labels(kind).set(seconds)

    def parts_seen(self, **parts: bool) -> None:
        """Show which parts a health call found answering."""
        for part, answers in parts.items():
            self._parts.labels(part).set(answers)
        self._looked_at.set_to_current_time()

    def replication_lags(self, slots: Mapping[str, int]) -> None:
        """Show how far the subscribers are behind, in bytes of WAL. A slot that is gone lags no more."""
        for slot in self._slots - slots.keys():
            self._replication_lag.labels(slot).set(0)
        for slot, lag in slots.items():
            self._replication_lag.labels(slot).set(lag)
        self._slots |= slots.keys()

    def text(self) -> bytes:
        """Return what Prometheus reads: the metrics of this process, or of all workers together."""
        self.sample()
        return text_of(self.registry)

    def sample(self) -> None:
        """Bring the gauges up to date."""
        for watcher in self._watchers:
            watcher()

    @asynccontextmanager
    async def sampled(self) -> AsyncIterator[None]:
        """Keep this worker's gauges up to date for the other workers, where there are any, while the block runs."""
        if metrics_directory() is None:
            yield
            return
        sampling = asyncio.create_task(self._sample_on(), name="metrics")
        try:
            yield
        finally:
            sampling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sampling

    async def _sample_on(self) -> None:
        while True:
            self.sample()
            await asyncio.sleep(_SAMPLE_SECONDS)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"labeler_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"labeler_{name}", text, labels, buckets=buckets, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str, mode: GaugeMode = "livesum") -> Gauge:
        return Gauge(f"labeler_{name}", text, labels, registry=self.registry, multiprocess_mode=mode)


def _failed(_error: BaseException) -> str:
    return "error"


@contextmanager
def _observed(counter: Counter, histogram: Histogram, what: str, result_of: ResultOf = _failed) -> Iterator[None]:
    started, result = perf_counter(), "ok"
    try:
        yield
    except BaseException as error:
        result = "cancelled" if isinstance(error, asyncio.CancelledError) else result_of(error)
        raise
    finally:
        counter.labels(what, result).inc()
        histogram.labels(what).observe(perf_counter() - started)
