"""docs/frontend-contract.md: every citation of it points to a heading, and it has every call of the frontend."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "frontend-contract.md").read_text()
CODE = [
    path
    for folder in ("labeler_api", "labeler_ops", "user_gateway", "service_kit", "benchmarks", "tests", "docs")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".md", ".sql", ".toml"}
]


def _slug(heading: str) -> str:
    """The anchor that a heading has on the page."""
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")


HEADINGS = {_slug(line.lstrip("# ")) for line in PAGE.splitlines() if line.startswith("#")}


def test_every_citation_points_to_a_heading() -> None:
    cited = {
        (path.relative_to(ROOT), slug)
        for path in CODE
        for slug in re.findall(r"contract(?:\.md)?#([a-z0-9-]+)", path.read_text())
    }
    assert len(cited) > 40
    assert [(path, slug) for path, slug in sorted(cited) if slug not in HEADINGS] == []


def test_nothing_cites_a_page_by_number() -> None:
    numbered = re.compile(r"contract,? (?:section )?\d|section \d+ of the contract")
    assert [path for path in CODE if path != Path(__file__) and numbered.search(path.read_text())] == []


def test_the_page_has_every_call_that_has_a_number() -> None:
    access = (ROOT / "docs" / "access.md").read_text()
    numbers = {int(number) for number in re.findall(r"^\| (\d+) +\|", access, re.MULTILINE)}
    named: set[int] = set()
    for cell in re.findall(r"^\| ([*\d, –]+) \|", PAGE, re.MULTILINE):
        for part in cell.replace("*", "").split(","):
            first, _, last = part.strip().partition("–")
            named |= set(range(int(first), int(last or first) + 1))
    assert named == numbers


def test_a_line_of_text_is_short() -> None:
    for name in ("frontend-contract.md", "what-changed.md"):
        lines = (ROOT / "docs" / name).read_text().splitlines()
        assert [line for line in lines if len(line) > 100 and not line.startswith("|")] == []
