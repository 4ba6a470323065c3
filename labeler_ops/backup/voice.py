"""What long work tells whoever waits for it."""

from typing import Protocol


class Voice(Protocol):
    """Hears of each step, and how far it is."""

    def line(self, text: str) -> None:
        """Hear that another step begins."""

    def progress(self, done: int, total: int) -> None:
        """Hear how far the step is."""
