"""The tree in docs/architecture.md is the real one: whoever finds a place by it finds it at the first guess."""

import re
from pathlib import Path

from tests.architecture.source import ROOT

PACKAGES = ("proto", "service_kit", "user_gateway", "labeler_api", "labeler_ops")
_LINE = re.compile(r"^( *)([\w.]+/?) {2,}\S")
_INDENT = 2


def test_every_path_of_the_tree_is_there() -> None:
    assert [path for path in _told() if not (ROOT / path).exists()] == []


def test_every_package_stands_in_the_tree() -> None:
    """Those of the API to the last folder; of the others the first level, which says where to look."""
    there = {folder for package in PACKAGES for folder in _folders(package)}
    assert there - {path for path in _told() if path.endswith("/")} == set(), "add a line to docs/architecture.md"


def test_the_modules_at_the_root_of_the_api_stand_in_the_tree() -> None:
    """A few, each known to everybody. Another one belongs into a feature or a room."""
    modules = {f"labeler_api/{path.name}" for path in (ROOT / "labeler_api").glob("*.py") if "__" not in path.name}
    assert modules == {path for path in _told() if re.fullmatch(r"labeler_api/\w+\.py", path)}


def _told() -> list[str]:
    """The paths of the tree in the document; folders end with a slash."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    tree = text.partition("## The tree")[2].partition("```\n")[2].partition("```")[0]
    found: list[str] = []
    above: list[str] = []
    for line in tree.splitlines():
        match = _LINE.match(line)
        assert match, f"no line of a tree: {line!r}"
        above = [*above[: len(match[1]) // _INDENT], match[2]]
        found.append("".join(above))
    assert len(found) == len(set(found))
    return found


def _folders(package: str) -> list[str]:
    paths = (
        (ROOT / package).rglob("__init__.py") if package == "labeler_api" else (ROOT / package).glob("*/__init__.py")
    )
    return [f"{folder.relative_to(ROOT).as_posix()}/" for folder in (*map(_parent, paths), ROOT / package)]


def _parent(path: Path) -> Path:
    return path.parent
