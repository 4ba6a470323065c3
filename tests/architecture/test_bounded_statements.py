"""Every statement that returns many rows has a bound: a LIMIT, the ids that it is asked about, or a reason below."""

import ast
import importlib
import re
from collections.abc import Iterator

from tests.architecture.source import Module, modules

# A LIMIT, or no more rows than the values that the caller names.
_BOUNDED = re.compile(
    r"\bLIMIT\b|= ?ANY ?\(|\bunnest\(|\bjsonb_(?:populate_recordset|array_elements_text)\(", re.IGNORECASE
)

REASONS: dict[tuple[str, str], str] = {
    ("labeler_api/annotations/editing/store.py", "_PAGE_OF_IMAGE"): "image_page_1 has the LIMIT",
    ("labeler_api/annotations/page/store.py", "_PAGE"): "project_page_1 has the LIMIT",
    ("labeler_api/storage/orphans/store.py", "_DUE_COUNTS"): "a row for each of the two buckets",
}
"""Statements without one, by module and name, and why their rows are few."""


def test_every_statement_of_many_rows_has_a_bound() -> None:
    found = {(where, name) for where, name, sql in _fetched() if not _BOUNDED.search(sql)}
    assert found - REASONS.keys() == set(), "give it a LIMIT and a cursor, or a reason here"
    assert REASONS.keys() - found == set(), "has a bound by now, or is gone: take its reason away"


def test_statements_are_found() -> None:
    assert len(list(_fetched())) > 30


def _fetched() -> Iterator[tuple[str, str, str]]:
    """Module, name and text of each statement that some store fetches rows by."""
    for module in modules("labeler_api"):
        if module.feature and module.is_store:
            values = vars(importlib.import_module(module.name))
            for name in sorted(_names(module)):
                value = values[name]
                texts = value.values() if isinstance(value, dict) else [value]
                for text in texts:
                    yield module.where, name, text


def _names(module: Module) -> set[str]:
    """The constants in the first argument of each `….fetch(…)`."""
    calls = (node for node in ast.walk(module.tree) if isinstance(node, ast.Call))
    firsts = [
        call.args[0]
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "fetch" and call.args
    ]
    return {node.id for first in firsts for node in ast.walk(first) if isinstance(node, ast.Name) and node.id.isupper()}
