"""Lines that only Railway or Docker could run: whether their own documentation knows each command and option."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml


@cache
def table() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    return found


def objection(words: Sequence[str]) -> str | None:
    """Say what a documentation does not know of a line; None where it knows all of it."""
    program, *rest = words
    commands = table()[program]["commands"]
    name = next((" ".join(rest[:n]) for n in (4, 2, 1) if " ".join(rest[:n]) in commands), None)
    if name is None:
        return f"{program} has no command {' '.join(rest[:2])!r}"
    return _objection(commands[name], rest[len(name.split()) :], name)


def _objection(command: dict[str, Any], rest: Sequence[str], name: str) -> str | None:
    known = {option.rstrip("="): option.endswith("=") for option in command.get("options", ())}
    free, words = 0, iter(rest)
    for word in words:
        if word == "--":
            return None  # what follows is another program's
        option, given, _ = word.partition("=")
        if not word.startswith("-"):
            free += 1
            if name.endswith("exec"):
                return None
        elif option not in known:
            return f"{name} has no option {option}"
        elif known[option] and not given and next(words, None) is None:
            return f"{name} {option} wants a value"
    return f"{name} takes {command.get('takes', 0)} words" if free > command.get("takes", 0) else None
