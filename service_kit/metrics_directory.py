"""Where processes that share a port keep their metrics: each writes files of one directory (service_kit/metrics.py)."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's own name


@contextmanager
def shared_metrics(workers: int) -> Iterator[None]:
    """Lend workers an empty directory for their metrics; what a run left goes.

    Must come before prometheus_client is imported: it reads the variable once.
    """
    given = os.environ.get(_VARIABLE)
    if workers == 1:
        os.environ.pop(_VARIABLE, None)  # one process counts in memory, which is faster
        yield
        return
    directory = Path(given or mkdtemp(prefix="labeler-metrics-"))
    directory.mkdir(parents=True, exist_ok=True)
    for leftover in directory.glob("*.db"):
        leftover.unlink()
    os.environ[_VARIABLE] = str(directory)
    try:
        yield
    finally:
        if not given:
            shutil.rmtree(directory, ignore_errors=True)


def metrics_directory() -> Path | None:
    """Return the directory of this process and its siblings; None where one process counts for itself."""
    path = os.environ.get(_VARIABLE)
    return Path(path) if path else None
