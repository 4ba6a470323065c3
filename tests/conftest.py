"""Real servers for every test; the fixtures live in tests/fixtures."""

import signal
from pathlib import Path

import pytest

BROWSER = Path(__file__).parent / "browser"

pytest_plugins = [
    "tests.fixtures.postgres",
    "tests.fixtures.storage",
    "tests.fixtures.schema",
    "tests.fixtures.users",
    "tests.fixtures.operations",
    "tests.fixtures.api",
    "tests.fixtures.platform",
]


def pytest_configure() -> None:
    """Have programs that tests start be interruptible.

    A shell starts its background jobs with SIGINT ignored, and what is ignored stays so in every child.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the browser's tests to `make test-browser`, which sees to it that there is a browser."""
    if collection_path != BROWSER:
        return None
    return None if any("browser" in argument for argument in config.args) else True
