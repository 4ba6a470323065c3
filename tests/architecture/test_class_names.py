"""A class is found by its name: no name stands for two classes of a package."""

import ast
from collections import defaultdict

from tests.architecture.source import Module, modules


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
