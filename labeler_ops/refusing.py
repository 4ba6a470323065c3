"""How commands do their work and end: with what they were asked for, or with a word and an exit code."""

from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

import typer
import uvloop
from rich.console import Console

from labeler_api.db.failures import FAILURES
from labeler_ops.database.errors import DatabaseRefused
from labeler_ops.runs import RunError, redacted
from labeler_ops.storage.access import StorageError

FAILED, WRONG_USE = 1, 2
REFUSALS = (DatabaseRefused, RunError, StorageError, *FAILURES)
"""What stops work with a word to the operator."""

_T = TypeVar("_T")


def refuse(text: str, code: int = FAILED) -> NoReturn:
    """End with a word on the error stream."""
    Console(stderr=True, soft_wrap=True).print(redacted(text), markup=False)
    raise typer.Exit(code) from None


def run(work: Callable[[], Awaitable[_T]], hint: str = "") -> _T:
    """Do it, and return what comes of it; a refusal ends with its text and the hint."""

    async def whole() -> _T:
        try:
            return await work()
        except ExceptionGroup as group:
            raise first(group) from group

    try:
        return uvloop.run(whole())
    except REFUSALS as error:
        refuse("\n".join(filter(None, (str(error) or type(error).__name__, hint))))


def first(error: BaseException) -> BaseException:
    """The first thing that went wrong of several at once."""
    return first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
