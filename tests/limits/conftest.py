"""A Redis or Valkey for each test, and what two processes have on it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from labeler_api.limits.counters import LimitStorage
from tests.fixtures.shared_storage import SharedStorage


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SharedStorage]:
    """A server that is not started yet."""
    made = SharedStorage(tmp_path)
    yield made
    made.stop()


@pytest.fixture
async def shared(server: SharedStorage) -> SharedStorage:
    """A server that answers."""
    await server.start()
    return server


@pytest.fixture
async def storages(shared: SharedStorage) -> AsyncIterator[list[LimitStorage]]:
    """What two processes have, on one server. With patience: a busy machine must not make it an absent one."""
    made = [LimitStorage(shared.url, wait_seconds=20.0) for _ in range(2)]
    yield made
    for storage in made:
        await storage.close()
