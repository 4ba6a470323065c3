"""The pages for people beside the guides: their commands can be typed, their links lead somewhere, and Korean is level.

Commands stand in blocks marked `sh`, as in the guides; the README's stand in plain blocks, as its readers know them.
"""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.guides.parsing import refusal
from tests.guides.reading import ROOT, Guide

PAGES = tuple(Guide(path) for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]))
KOREAN = {"README.ko.md", "deletion.ko.md", "observability.ko.md", "rate-limits.ko.md", "restarts.ko.md"}
FOLDERS = ("labeler_api", "labeler_ops", "service_kit", "user_gateway", "tests", "docs", "benchmarks", "proto")
_PATH = re.compile(rf"`((?:{'|'.join(FOLDERS)})/[A-Za-z0-9_./-]+)(?:::\w+)?`")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
# The programs that a developer types beside `make` and `labeler`.
PROGRAMS = {".venv/bin/pytest", ".venv/bin/python", "psql", "curl", "grep", "cut", "sleep", "sh", "set", ".", "buf"}


def _name(guide: Guide) -> str:
    return str(guide.path.relative_to(ROOT))


def anchors(path: Path) -> set[str]:
    """What a link may name in a page: its headings, spelt as GitHub spells them."""
    headings = [line.lstrip("# ") for _, line in Guide(path).prose() if line.startswith("#")]
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_link_leads_somewhere(page: Guide) -> None:
    wrong = []
    for _, line in page.prose():
        for link in re.findall(r"\]\(([^)\s]+)\)", line):
            path, _, anchor = link.partition("#")
            target = page.path.parent / path if path else page.path
            if "://" in link:
                continue
            if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
                wrong.append(link)
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_path_that_is_named_is_there(page: Guide) -> None:
    named = {path for _, line in page.prose() for path in _PATH.findall(line)}
    assert [path for path in sorted(named) if not list(ROOT.glob(path))] == []


def test_every_line_for_developers_can_be_typed() -> None:
    page = next(page for page in PAGES if page.name == "CONTRIBUTING.md")
    wrong = []
    for command in page.typed():
        program, *words = typed(command.words)
        if Path(program).name == "labeler":
            wrong += [f"{command.where}: {reason}" for reason in [refusal(words, {"LABELER_DB_URL"})] if reason]
        elif program == "make":
            asked = [word for word in words if re.fullmatch(r"[a-z-]+", word)]
            wrong += [f"{command.where}: no such target" for word in asked if word not in TARGETS]
        elif program not in PROGRAMS:
            wrong.append(f"{command.where}: what is this?")
        wrong += [f"{command.where}: {word} is not there" for word in words
                  if word.startswith(FOLDERS) and not (ROOT / word).exists()]  # fmt: skip
    assert wrong == []
    assert len(page.typed()) > 15


def typed(words: list[str]) -> list[str]:
    """The words of a command, without where its output goes."""
    return words[: words.index(">")] if ">" in words else words


def test_the_korean_pages_are_these() -> None:
    assert {page.name for page in PAGES if ".ko." in page.name} == KOREAN


@pytest.mark.parametrize("name", sorted(KOREAN))
def test_a_korean_page_says_the_same(name: str) -> None:
    """The same sections, rows, blocks, links, and names of variables, metrics, files and commands."""
    korean = next(page for page in PAGES if page.name == name)
    english = Guide(korean.path.with_name(name.replace(".ko.", ".")))
    assert korean.headings() == english.headings()
    assert rows(korean) == rows(english)
    assert [(block.kind, block.lines) for block in korean.blocks()] == [
        (block.kind, block.lines) for block in english.blocks()
    ]
    assert spans(korean) == spans(english)
    here = {name, english.name}
    assert {link.replace(".ko.", ".") for link in korean.links()} - here == {
        link.replace(".ko.", ".") for link in english.links()
    } - here


def rows(page: Guide) -> int:
    return sum(line.startswith("|") for _, line in page.prose())


def spans(page: Guide) -> Counter[str]:
    """Every span of code of the page."""
    return Counter(span for _, span in page.code())
