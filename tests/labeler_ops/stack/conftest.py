"""A home that has been started once, with its demo data: most tests start it again, which takes two seconds."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.running_stack import Up


@pytest.fixture(scope="package")
def seasoned_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("seasoned")
    directory.parent.chmod(0o755)
    home = directory / "home"
    with Up(home, files=directory / "first") as up:
        up.ready()
        assert up.stop() == 0
    yield home
    shutil.rmtree(directory)


@pytest.fixture
def home(seasoned_home: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of it for one test."""
    copy = tmp_path / "home"
    shutil.copytree(seasoned_home, copy)
    yield copy
    shutil.rmtree(copy)  # 80 MB, which pytest would keep for three runs
