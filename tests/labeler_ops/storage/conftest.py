"""Two stores under short names, and a move between them."""

from pathlib import Path

import pytest

from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.store_sync import StoreSync
from tests.fixtures.stored_objects import Objects, passes


@pytest.fixture
def sides(stores: tuple[StorageAccess, StorageAccess]) -> tuple[StorageAccess, StorageAccess]:
    return stores


@pytest.fixture
def source(source_objects: Objects) -> Objects:
    return source_objects


@pytest.fixture
def target(target_objects: Objects) -> Objects:
    return target_objects


@pytest.fixture
def move(sides: tuple[StorageAccess, StorageAccess], tmp_path: Path) -> StoreSync:
    return passes(tmp_path / "runs", *sides, None)
