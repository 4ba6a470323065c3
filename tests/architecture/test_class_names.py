"""A class is found by its name: no name stands for two classes of a package."""

import ast
from collections import defaultdict

from tests.architecture.source import Module, modules

# The same word on purpose: the error of a request, and its form in the OpenAPI document.
SHARED_BY_INTENT = {"Conflict"}


def _classes(module: Module) -> set[str]:
    return {node.name for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)} | {
        node.target.id
        for node in module.tree.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and ast.unparse(node.annotation) == "TypeAlias"
    }


def _twice(found: list[Module]) -> dict[str, list[str]]:
    """Names of classes and aliases that more than one module defines."""
    homes: dict[str, list[str]] = defaultdict(list)
    for module in found:
        for name in _classes(module):
            homes[name].append(module.where)
    return {name: where for name, where in homes.items() if len(where) > 1}


def test_no_class_name_stands_twice_in_the_operators_tool() -> None:
    assert _twice(modules("labeler_ops")) == {}


def test_no_class_name_stands_twice_in_the_api_but_for_its_wire_types() -> None:
    """Two features may have a query or an answer of one name: `schemas.py` says whose it is."""
    found = [module for module in modules("labeler_api") if module.path.name != "schemas.py"]
    assert _twice(found).keys() - SHARED_BY_INTENT == set()
