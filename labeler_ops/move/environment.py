"""The variables that the services need on a side: the only files of a run that hold passwords."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

NEW, ROLLBACK = "environment.new", "environment.rollback"


def write(path: Path, variables: Mapping[str, str]) -> Path:
    """Write a file that a shell can read and only its owner may; it appears whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    return path


def names(path: Path) -> list[str]:
    """The variables of a file."""
    return [line.partition("=")[0] for line in path.read_text().splitlines()]
