"""What `make test-fast` runs: enough to be worth it, nothing that takes its time, and everybody is told of it."""

import pytest

from tests.architecture.source import ROOT
from tests.fixtures.fast import FAST, is_fast

LEAST = 330  # functions; with their parameters they are 2,000 tests
SLOW_FOLDERS = ("browser", "deployment", "e2e", "files", "fuzz", "guides", "hostile", "labeler_ops", "outages", "races")


@pytest.mark.parametrize("place", FAST)
def test_each_of_them_is_there(place: str) -> None:
    assert (ROOT / "tests" / place).exists(), "it has moved: change tests/fixtures/fast.py"


def test_they_are_many_and_none_takes_its_time() -> None:
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if is_fast(path)]
    assert sum(path.read_text().count("def test_") for path in files) >= LEAST
    assert [path for path in files if path.relative_to(ROOT / "tests").parts[0] in SLOW_FOLDERS] == []


def test_the_command_is_named_where_people_look() -> None:
    for page in ("README.md", "CONTRIBUTING.md"):
        assert "make test-fast" in (ROOT / page).read_text(), page
