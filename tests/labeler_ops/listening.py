"""A reporter that nobody sees."""

from labeler_ops.database.verify.report import Report
from labeler_ops.reporter import Shown


class Listener:
    """Keeps what a person would see."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, done: int, total: int) -> None:
        """Nobody looks."""

    def begin(self, what: str, size: int | None = None) -> None:
        """Nobody looks."""

    def done(self, objects: int, size: int) -> None:
        """Nobody looks."""

    def show(self, what: Shown) -> None:
        if isinstance(what, Report):
            self.lines += what.lines()
