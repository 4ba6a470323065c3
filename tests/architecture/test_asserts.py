"""An assertion says which value was wrong: values of different meaning are not compared as one tuple."""

import ast
from collections.abc import Iterator

from tests.architecture.source import Module, modules

MOST = 2
"""So many values in one tuple tell themselves apart: a width and a height, a status and a code."""

WHOLE = {"getpixel": "the levels of a pixel are one colour"}
"""Calls whose answer is a longer tuple, and why it is one value."""


def called(node: ast.expr) -> str:
    """The name of what is called, of the last call in an expression."""
    if isinstance(node, ast.Await):
        return called(node.value)
    function = node.func if isinstance(node, ast.Call) else None
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def hiding(tree: ast.Module) -> Iterator[int]:
    """The lines of assertions that put values together to compare them, or that take three of them for one."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Assert) and isinstance(node.test, ast.Compare)):
            continue
        if not all(isinstance(how, ast.Eq) for how in node.test.ops):
            continue
        seen, *expected = node.test.left, *node.test.comparators
        long = any(isinstance(one, ast.Tuple) and len(one.elts) > MOST for one in expected)
        if isinstance(seen, ast.Tuple) or (long and called(seen) not in WHOLE):
            yield node.lineno


def lines_of(module: Module) -> list[str]:
    return [f"{module.where}:{line}: assert each value by itself, or name them" for line in hiding(module.tree)]


def test_no_assertion_hides_which_value_was_wrong() -> None:
    assert [line for module in modules("tests") for line in lines_of(module)] == []


def test_the_next_one_would_be_found() -> None:
    found = [
        "assert (row['a'], row['b']) == expected",
        "assert await counters() == (1, 2, 3)",
        "assert first() == second() == (1, 2, 3)",
    ]
    passed = ["assert size == (3, 4)", "assert image.getpixel((0, 0)) == (1, 2, 3)", "assert a < (1, 2, 3)"]
    assert [list(hiding(ast.parse(line))) for line in found] == [[1], [1], [1]]
    assert [list(hiding(ast.parse(line))) for line in passed] == [[], [], []]
