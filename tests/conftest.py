"""Real servers for every test; the fixtures live in tests/fixtures."""

import atexit
import gc
import os
import shutil
import signal
import sys
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest
import structlog

# Keep compiled modules, here and in the programs that tests start, whatever the environment says: else each process
# compiles all of them anew, and pytest rewrites the assertions of 400 files.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

BROWSER = Path(__file__).parent / "browser"
_IN_MEMORY = Path("/dev/shm")
_NEW_OBJECTS = 10_000  # until the collector looks at them; as in a process of the API
_ENOUGH = 12 << 30  # bytes; uploads of a GiB and copies of stores need a few at once

pytest_plugins = [
    "tests.fixtures.timing",
    "tests.fixtures.fast",
    "tests.fixtures.work_units",
    "tests.fixtures.held_loop",
    "tests.fixtures.postgres",
    "tests.fixtures.storage",
    "tests.fixtures.stores",
    "tests.fixtures.store_clients",
    "tests.fixtures.schema",
    "tests.fixtures.pgbouncer",
    "tests.fixtures.users",
    "tests.fixtures.operations",
    "tests.fixtures.api",
    "tests.fixtures.platform",
    "tests.fixtures.production",
    "tests.fixtures.own_users",
    "tests.fixtures.tied_store",
]


def pytest_configure() -> None:
    """Have programs that tests start be interruptible, and their files in memory where there is plenty.

    A shell starts its background jobs with SIGINT ignored, and what is ignored stays so in every child.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # As quick as in production: the library's own renderer draws a traceback with all its locals for half a second.
    renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], renderer])
    if _plenty():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_IN_MEMORY))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Have the collector of garbage pass over the tests themselves: millions of objects that stay to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(_NEW_OBJECTS)
        gc.enable()
        atexit.register(gc.freeze)


def _plenty() -> bool:
    # Some tests run scripts that they have written.
    if not _IN_MEMORY.is_dir() or os.statvfs(_IN_MEMORY).f_flag & os.ST_NOEXEC:
        return False
    return min(shutil.disk_usage(_IN_MEMORY).free, psutil.virtual_memory().available) >= _ENOUGH


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the browser's tests to `make test-browser`, which sees to it that there is a browser."""
    if collection_path != BROWSER:
        return None
    return None if any("browser" in argument for argument in config.args) else True
