"""What a comment or docstring names as `module.name` exists: a reader who follows it arrives somewhere."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

from tests.architecture.source import ROOT, Module, modules

_CODE = ("labeler_api", "labeler_ops", "user_gateway", "service_kit")
_DOTTED = re.compile(r"`([a-z_][a-z_0-9]*(?:\.[A-Za-z_]\w*)+)`")
# Names of files, which have a dot as well, and those of their parameters that are called like a folder.
_FILES = {"py", "sql", "txt", "json", "html", "xml", "png", "jpg", "md", "yaml"}
_PARAMETERS = {"limits.total_bytes"}


@cache
def _names() -> dict[str, set[str]]:
    """What each module or folder has, by its last name: functions, classes, variables, attributes, files."""
    found: dict[str, set[str]] = {}
    for module in modules(*_CODE):
        path = module.path.parent if module.path.stem == "__init__" else module.path
        found.setdefault(path.stem, set()).update(_defined(module))
    for package in _CODE:
        for file in (ROOT / package).rglob("*"):
            found.setdefault(file.parent.name, set()).add(file.stem)
    return found


def _defined(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name
            case ast.alias(name=name, asname=asname):
                yield asname or name.partition(".")[0]


def missing(text: str) -> Iterator[str]:
    """The dotted names in a text that lead from a module or folder of ours to nothing."""
    for dotted in _DOTTED.findall(text):
        parts = dotted.split(".")
        if parts[-1] in _FILES or dotted in _PARAMETERS:
            continue
        if any(there in _names() and name not in _names()[there] for there, name in pairwise(parts)):
            yield dotted


def test_names_in_comments_exist() -> None:
    # A migration says what was there when it was written.
    written = [module for module in modules(*_CODE) if ".migrations.versions." not in module.name]
    assert [f"{module.where}: {dotted}" for module in written for dotted in missing(module.text)] == []


def test_a_name_that_went_is_found() -> None:
    assert list(missing("as `ledger.logged` does, and `ledger.written`; see `image_locks.leases`, `report.txt`")) == [
        "ledger.written",
        "image_locks.leases",
    ]
