"""The table of `make outages`: `python -m tests.outages.report FILE`, a line of JSON for each kind."""

import json
import sys
from pathlib import Path

_COLUMNS = {
    "kind": "what happened",
    "seconds": "for",
    "calls": "calls",
    "failed": "of them failed",
    "saved": "saves acknowledged",
    "gap_seconds": "longest gap of anybody",
    "recovery_seconds": "until everybody went on",
}


def table(lines: list[str]) -> str:
    """Make the table, in Markdown. Times in seconds."""
    rows = [list(_COLUMNS.values()), ["---"] * len(_COLUMNS)]
    rows += [[_shown(name, json.loads(line)[name]) for name in _COLUMNS] for line in lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _shown(name: str, value: object) -> str:
    return f"{value} s" if name.endswith("seconds") else str(value)


if __name__ == "__main__":
    sys.stdout.write(table(Path(sys.argv[1]).read_text().splitlines()) + "\n")
