"""The documents as text: their lines are short enough to be read side by side and compared line by line."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WIDTH = 100  # two of them fit beside each other on a wide screen
PAGES = sorted(
    page for folder in ("", "docs/", "docs/decisions/", "docs/deployment/") for page in ROOT.glob(f"{folder}*.md")
)
_FENCE = re.compile(r"\s*(```|~~~)")
# What cannot be broken: a table's row, indented code, a line that is one span of code or one link.
_WHOLE = re.compile(r"\||    |\s*([-*] )?(`[^`]+`|\[[^\]]*\]\([^)]*\)|!\[[^\]]*\]\([^)]*\)|<[^>]+>)[.,;:]?$")


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Every line of a page that stands in no block of code and not in its front matter, with its number."""
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if _FENCE.match(line) or (line == "---" and (number == 1 or inside)):
            inside = not inside
        elif not inside:
            yield number, line


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_a_line_of_prose_is_short(page: Path) -> None:
    lines = [(number, line) for number, line in prose(page.read_text()) if len(line) > WIDTH]
    assert [line for line in lines if not _WHOLE.match(line[1])] == []


def test_no_page_holds_what_a_merge_left() -> None:
    """Nothing else would see it: a page is neither compiled nor formatted."""
    left = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)
    assert [_name(page) for page in PAGES if left.search(page.read_text())] == []
