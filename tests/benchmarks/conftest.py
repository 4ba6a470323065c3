"""One system for all benchmarks: they are tried small, and only whether they run and say something is looked at."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.api import stack


@pytest.fixture(scope="session")
async def ready(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mapping[str, Any]]:
    """What the running stack says of itself."""
    async with stack(tmp_path_factory.mktemp("stack"), "--no-demo") as found:
        yield found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder for what a benchmark writes."""
    return tmp_path
