"""What the document cannot say about generated requests. Loaded by schemathesis (see schemathesis.toml)."""

import ast
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import uuid4

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response

MOST_SECONDS = 2.0
MOST_BYTES = 8 * 2**20
# A neighbour of the test takes the processor now and then; what is slow by itself is so three times.
_REPEATS = 2

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


@schemathesis.check
def answers_are_bounded(_context: CheckContext, response: Response, case: Case[Any]) -> None:
    """No answer has more than 8 MiB; none takes more than two seconds, however often it is asked for."""
    assert response.content_size <= MOST_BYTES, f"an answer of {response.content_size} bytes: {MOST_BYTES} at most"
    seconds = response.elapsed
    for _ in range(_REPEATS):
        if seconds <= MOST_SECONDS:
            return
        seconds = min(seconds, case.call().elapsed)
    assert seconds <= MOST_SECONDS, f"an answer after {seconds:.1f} s, three times: {MOST_SECONDS} s at most"
