"""What a benchmark found: printed, or written into `docs/performance.md` between its marks, with a picture beside it.

`--write` writes it, and says how, when, where and of which commit: nobody types a figure. The ratios are kept as JSON
under `benchmarks/kept/`, and `benchmarks.check` holds a later run to them.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from textwrap import fill

from rich.console import Console

from benchmarks.bars import Bar, chart
from benchmarks.pairs import table

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "performance.md"
KEPT = Path(__file__).parent / "kept"
_WIDTH = 100  # of a line of the documents


@dataclass(frozen=True)
class Figures:
    """A table by the name of its benchmark; notes stand below it. `ratios` are parts of a floor, which is 1."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    ratios: Mapping[str, float] = field(default_factory=dict)
    picture: str | None = None

    def drawn(self) -> str:
        """The picture: the ratios in percent of their floors, by CPU time, unless the benchmark draws another one."""
        if self.picture is not None:
            return self.picture
        bars = [Bar(name, ratio * 100, 100) for name, ratio in self.ratios.items()]
        return chart(f"{self.title}, by CPU time, in % of the floor", bars, now="ours", before="floor")


def add_write(parser: argparse.ArgumentParser) -> None:
    """Add the option that writes."""
    parser.add_argument("--write", action="store_true", help="write table and picture into docs/performance.md")


def show(figures: Figures, *, write: bool) -> None:
    """Print the table, and write it where that is wanted."""
    Console(width=150).print(table(figures.title, figures.columns, figures.rows), *figures.notes, sep="\n")
    if write:
        made = _made()
        PAGE.write_text(placed(PAGE.read_text(), figures, made))
        (PAGE.parent / f"{_picture(figures)}").write_text(figures.drawn())
        kept = {**made, "ratios": {name: round(ratio, 3) for name, ratio in figures.ratios.items()}}
        (KEPT / f"{figures.name}.json").write_text(json.dumps(kept, indent=1) + "\n")


def kept_ratios(name: str) -> dict[str, float]:
    """The ratios that were written last."""
    found: dict[str, float] = json.loads((KEPT / f"{name}.json").read_text())["ratios"]
    return found


def placed(page: str, figures: Figures, made: Mapping[str, str]) -> str:
    """Put a table into the page, between the marks of its benchmark. Raises SystemExit where it has none."""
    begin, end = f"<!-- figures: {figures.name} -->", f"<!-- end of figures: {figures.name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"docs/performance.md has no place for these figures: write {begin} and {end} into it")
    said = fill(f"`{made['command']}`, {made['date']}, commit `{made['commit']}`, {made['machine']}.", _WIDTH)
    columns = "\n".join(
        ["| " + " | ".join(row) + " |" for row in (figures.columns, ["---"] * len(figures.columns), *figures.rows)]
    )
    notes = "\n".join(fill(f"- {note}.", _WIDTH, subsequent_indent="  ") for note in figures.notes)
    picture = f"![{figures.title}]({_picture(figures)})"
    text = "\n\n".join(part for part in (begin, said, picture, columns, notes, end) if part)
    return pattern.sub(lambda _: text, page)


def _picture(figures: Figures) -> str:
    return f"measured-{figures.name}.svg"


def _made() -> dict[str, str]:
    """How, when, where and of what."""
    module = Path(sys.argv[0]).stem
    given = [argument for argument in sys.argv[1:] if argument != "--write"]
    return {
        "command": " ".join(["python -m", f"benchmarks.{module}", *given]),
        "date": datetime.now(UTC).date().isoformat(),
        "commit": _commit(),
        "machine": f"{len(os.sched_getaffinity(0))} cores of {_processor()}, Python {platform.python_version()}",
    }


def _commit() -> str:
    """The last commit that changed what is measured, and whether it was changed since."""
    product = ("labeler_api", "user_gateway", "service_kit")

    def git(*arguments: str) -> str:
        command = ["git", *arguments, "--", *product]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    return git("log", "-1", "--format=%h") + (" and what is not committed" if git("status", "--porcelain") else "")


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.machine()
