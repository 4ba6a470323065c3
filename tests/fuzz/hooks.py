"""What the document cannot say about generated requests. Loaded by schemathesis (see schemathesis.toml)."""

import ast
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import uuid4

import schemathesis
from schemathesis import Case, HookContext

_parsing = threading.Lock()


def _one_at_a_time(parse: Callable[..., ast.AST]) -> Callable[..., ast.AST]:
    @wraps(parse)
    def parsed(*arguments: Any, **options: Any) -> ast.AST:
        with _parsing:
            return parse(*arguments, **options)

    return parsed


# The generator parses sources in every worker, and CPython 3.11 may raise "AST constructor recursion depth mismatch"
# when two threads do so at once.
ast.parse = _one_at_a_time(ast.parse)  # type: ignore[assignment]


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Give each good request a key of its own, and no cursor that nobody gave out.

    A key that comes a second time with another request is refused by design, and the generator repeats its favourites.
    A cursor is opaque: it is taken back, or refused. Requests that are meant to be bad keep what they have.
    """
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if case.headers and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = str(uuid4())
    if case.query and case.query.get("cursor"):
        case.query["cursor"] = ""
