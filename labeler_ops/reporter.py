"""What long work tells the person who started it."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from rich.console import Console


class Shown(Protocol):
    """Something that can be printed."""

    def show(self, console: Console) -> None:
        """Print it."""


class Reporter(Protocol):
    """Who listens: a terminal, or a test."""

    def line(self, text: str) -> None:
        """Say something."""

    def progress(self, done: int, total: int) -> None:
        """Move the bar of what is at work."""

    def begin(self, what: str, size: int | None = None) -> None:
        """Start a bar for a number of bytes; None if nobody knows how many."""

    def done(self, objects: int, size: int) -> None:
        """Move that bar by a number of objects and bytes."""

    def show(self, what: Shown) -> None:
        """Show a finding, a comparison, a report."""


Progress: TypeAlias = Callable[[int, int], None]
"""Hears how much is done, and how much there is in all."""


def no_progress(_done: int, _total: int) -> None:
    """Hears nothing."""


def counting(progress: Progress, total: int) -> Callable[[int], None]:
    """Add up what is done piece by piece, and move the bar of so much in all."""
    done = 0

    def told(size: int) -> None:
        nonlocal done
        done += size
        progress(done, total)

    return told
