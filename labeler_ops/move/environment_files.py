"""The variables that the services need on a side: the only files of a run that hold passwords."""

from pathlib import Path

NEW, ROLLBACK = "environment.new", "environment.rollback"


def names(path: Path) -> list[str]:
    """The variables of a file."""
    return [line.partition("=")[0] for line in path.read_text().splitlines()]
