"""Two stores, each test with buckets of its own."""

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from labeler_ops.stack.object_store import PORT_COUNT, SeaweedServer
from labeler_ops.stack.ports import free_ports
from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.buckets import prepare
from labeler_ops.storage.moving import StorageMove
from tests.labeler_ops.listening import Listener
from tests.labeler_ops.storage.stores import Objects, objects

_numbers = itertools.count()


@pytest.fixture(scope="session")
async def second_store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SeaweedServer]:
    directory = tmp_path_factory.mktemp("second-store")
    server = SeaweedServer(directory / "data", free_ports(PORT_COUNT), "second-key", "second-secret")
    await server.start()
    yield server
    await server.stop()
    shutil.rmtree(directory)


@pytest.fixture
async def sides(object_store: SeaweedServer, second_store: SeaweedServer) -> tuple[StorageAccess, StorageAccess]:
    number = next(_numbers)
    names = {"datasets_bucket": f"images-{number}", "annotations_bucket": f"exports-{number}"}
    pair = replace(object_store.access, **names), replace(second_store.access, **names)
    await asyncio.gather(*map(prepare, pair))
    return pair


@pytest.fixture
async def source(sides: tuple[StorageAccess, StorageAccess]) -> AsyncIterator[Objects]:
    async with objects(sides[0]) as opened:
        yield opened


@pytest.fixture
async def target(sides: tuple[StorageAccess, StorageAccess]) -> AsyncIterator[Objects]:
    async with objects(sides[1]) as opened:
        yield opened


@pytest.fixture
def move(sides: tuple[StorageAccess, StorageAccess], tmp_path: Path) -> StorageMove:
    return StorageMove.begin(tmp_path / "runs", *sides, None, Listener())
