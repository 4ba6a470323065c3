"""What a check of a move found, before anything is done."""

from dataclasses import dataclass
from typing import Literal

import msgspec
from rich.console import Console
from rich.table import Table

from labeler_ops.runs import redacted

Verdict = Literal["ok", "note", "refused"]

_MARKS = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "refused": "[red]refused[/]"}


class CheckFinding(msgspec.Struct, frozen=True):
    """What one check found. `refused` stops the move; a `note` is worth knowing."""

    name: str
    verdict: Verdict
    text: str


@dataclass(frozen=True)
class CheckFindings:
    """What all checks found."""

    findings: list[CheckFinding]

    @property
    def refused(self) -> list[str]:
        """What stops the move."""
        return [f"{one.name}: {one.text}" for one in self.findings if one.verdict == "refused"]

    def show(self, console: Console) -> None:
        """Print them."""
        grid = Table(box=None, show_header=False, pad_edge=False)
        for one in self.findings:
            grid.add_row(_MARKS[one.verdict], one.name, redacted(one.text))
        console.print(grid)
