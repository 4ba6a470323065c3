"""Prometheus' text for one process, or for several that share a port and write their metrics into files."""

from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from service_kit.metrics_directory import metrics_directory


def text_of(registry: CollectorRegistry) -> bytes:
    """Return the metrics of this process, or of all workers together."""
    return generate_latest(registry) if metrics_directory() is None else text_of_workers()


def text_of_workers() -> bytes:
    """Add up what every worker has written."""
    _bury_dead_workers()
    everybody = CollectorRegistry()
    MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]
    return generate_latest(everybody)


def process_watcher(registry: CollectorRegistry) -> Callable[[], None]:
    """Copy what prometheus_client knows of the process into gauges, which workers can show for each other."""
    source = ProcessCollector(registry=CollectorRegistry())
    gauges = {
        sample.name: Gauge(sample.name, family.documentation, registry=registry, multiprocess_mode="liveall")
        for family in source.collect()
        for sample in family.samples
    }

    def watch() -> None:
        for family in source.collect():
            for sample in family.samples:
                gauges[sample.name].set(sample.value)

    return watch


def _bury_dead_workers() -> None:
    """Drop the gauges of workers that ended; what they counted stays counted."""
    directory = metrics_directory()
    pids = {path.stem.rpartition("_")[2] for path in directory.glob("gauge_live*.db")} if directory else set()
    for pid in pids:
        if not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            mark_process_dead(int(pid))  # type: ignore[no-untyped-call]
