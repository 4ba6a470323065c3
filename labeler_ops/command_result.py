"""How commands do their work and end: with what they were asked for, or with a word and an exit code."""

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, NoReturn, TypeVar

import asyncpg
import msgspec
import typer
import uvloop
from rich.console import Console

from labeler_api.db.failures import FAILURES
from labeler_api.errors import AppError
from labeler_api.settings import Settings, load
from labeler_ops.errors import OperatorError
from labeler_ops.runs import redacted
from service_kit.settings import SettingsError

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for programs.")]

FAILED, WRONG_USE = 1, 2
OPERATOR_ERRORS = (OperatorError, AppError, SettingsError, *FAILURES)
"""What stops work with a word to the operator."""

# A pooler in transaction mode gives a connection to somebody else between two statements.
_OF_A_POOLER = (asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError)
_POOLER = (
    "the database is reached through a pooler (PgBouncer), which keeps no prepared statement: give the unpooled URL, "
    "or set LABELER_DB_UNPOOLED_URL and DB_STATEMENT_CACHE=false as the API needs them"
)

_T = TypeVar("_T")


def exit_with_error(text: str, code: int = FAILED) -> NoReturn:
    """End with a word on the error stream."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(redacted(text), markup=False)
    raise typer.Exit(code) from None


def run_or_exit(work: Callable[[], Awaitable[_T]], hint: str = "", *, code: int = FAILED, as_json: bool = False) -> _T:
    """Do it, and return what comes of it; a refusal ends with its text and the hint, a wrong setting with WRONG_USE.

    With `as_json` the text stands on the output, too.
    """

    async def whole() -> _T:
        try:
            return await work()
        except ExceptionGroup as group:
            raise first_error(group) from group

    try:
        return uvloop.run(whole())
    except OPERATOR_ERRORS as error:
        text = _POOLER if isinstance(error, _OF_A_POOLER) else str(error) or type(error).__name__
        if as_json:
            print_json({"error": redacted(text)})
        exit_with_error("\n".join(filter(None, (text, hint))), WRONG_USE if isinstance(error, SettingsError) else code)


def print_result(result: object, shown: Callable[[], object], *, as_json: bool, code: int = 0) -> None:
    """Print what came of a command, as JSON or by `shown`, and end with its exit code."""
    if as_json:
        print_json(result)
    else:
        shown()
    if code:
        raise typer.Exit(code)


def print_json(result: object) -> None:
    """Print a result for programs."""
    typer.echo(msgspec.json.encode(result))


def first_error(error: BaseException) -> BaseException:
    """The first thing that went wrong of several at once."""
    return first_error(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def settings(given: Mapping[str, str] | None = None) -> Settings:
    """Read the settings of the API for a command that needs none of its secrets. Raises SettingsError."""
    return load({**os.environ, **(given or {}), "ENVIRONMENT": "development"})
