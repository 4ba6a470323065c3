"""A voice that nobody sees."""

from labeler_ops.database.move.preflight import Finding
from labeler_ops.database.verify.report import Report


class Listener:
    """Keeps what a person would see."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, done: int, total: int) -> None:
        """Nobody looks."""

    def findings(self, findings: list[Finding]) -> None:
        """Nobody looks."""

    def report(self, report: Report) -> None:
        self.lines += report.lines()
