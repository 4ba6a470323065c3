"""Whether the command line takes a line, without doing what it says."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from labeler_ops.cli import app

_ROOT: Any = typer.main.get_command(app)
# What typer raises for wrong use; it brings its own click, whose names it does not promise.
_USAGE: tuple[type[BaseException], ...] = tuple(
    one for one in typer.BadParameter.__mro__ if one.__name__ == "UsageError" and issubclass(one, Exception)
)


def refusal(words: Sequence[str], variables: set[str]) -> str | None:
    """Say why `labeler <words>` would be refused; None where it would run. `variables` are set meanwhile."""
    with _environment(variables):
        try:
            _parsed(_ROOT, "labeler", list(words))
        except _USAGE as error:
            return str(getattr(error, "message", "") or error) or type(error).__name__
    return None


def _parsed(command: Any, name: str, words: list[str], parent: Any = None) -> None:
    context = command.make_context(name, words, parent=parent)
    if hasattr(command, "resolve_command"):
        rest = [*getattr(context, "_protected_args", []), *context.args]
        if not rest:
            context.fail(f"{name}: a command is missing")
        found, inner, left = command.resolve_command(context, rest)
        if inner is None:
            context.fail(f"{name} has no command {found!r}")
        _parsed(inner, str(found), left, context)


def variables(command: Any = _ROOT) -> set[str]:
    """Every variable that stands for an option."""
    named = {
        name for one in command.params for name in ([one.envvar] if isinstance(one.envvar, str) else one.envvar or [])
    }
    return named.union(*(variables(inner) for inner in getattr(command, "commands", {}).values()))


@contextmanager
def _environment(variables: set[str]) -> Iterator[None]:
    """Set these and nothing else of ours: what this machine has set must not make a guide right."""
    before = dict(os.environ)
    for name in [name for name in os.environ if re.search(r"LABELER|DATABASE|_DB_|S3_|BACKUP", name)]:
        del os.environ[name]
    os.environ.update(dict.fromkeys(variables, "1"))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def unknown_words(words: Sequence[str]) -> list[str]:
    """Name the commands and options of a mention that do not exist; what it leaves out does not matter."""
    command, rest = _ROOT, list(words)
    while rest and hasattr(command, "commands"):
        if rest[0].startswith("-") or not re.fullmatch(r"[a-z-]+", rest[0]):
            break
        if rest[0] not in command.commands:
            return [rest[0]]
        command = command.commands[rest.pop(0)]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    given = [word.partition("=")[0] for word in rest if re.match(r"--[a-z]", word)]
    return [word for word in given if word not in known | {"--help"}]
