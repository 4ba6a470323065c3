"""What a guide tells to do when a step fails: every guide has the table, and the programs do say what it quotes."""

import ast
import re
from functools import cache

import pytest

from tests.guides.reading import GENERATED, GUIDES, ROOT, Guide

HEADINGS = ("## What to do when a step fails", "## 단계가 실패하면")
PACKAGES = ("labeler_ops", "labeler_api", "user_gateway", "service_kit")
# What others say, and who they are.
OTHERS_SAY = {
    "Empty value provided via stdin": "Railway's command line",
    "No space left on device": "the system",
    "could not extend file": "PostgreSQL",
    "permission denied to create database": "PostgreSQL",
    "password authentication failed for user": "PostgreSQL",
    "AccessDenied": "the object store",
    "labeler: command not found": "the shell",
    "the services' role": "ours, with a quote in it",
    "is unhealthy": "Docker Compose",
    "port is already allocated": "Docker",
    "CreateContainerConfigError": "Kubernetes",
    "BackoffLimitExceeded": "Kubernetes",
    "ErrImagePull": "Kubernetes",
    "maintenance": "the API's code of an error",
}
_LEAST = 3  # messages in a table
_DISTINCT = 10  # letters of a part that stands for a message
_INDEX = {"README.md", "README.ko.md"}
ALL = [Guide(path) for path in GUIDES if path.name not in _INDEX | GENERATED]


def rows(guide: Guide) -> list[list[str]]:
    """The cells of the table below the heading."""
    found, inside = list[list[str]](), False
    for _, line in guide.prose():
        inside = line in HEADINGS or (inside and not line.startswith("#"))
        if inside and line.startswith("|"):
            found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found[2:]


def messages(guide: Guide) -> list[str]:
    return [message for first, *_ in rows(guide) for message in re.findall(r"`([^`]+)`", first)]


@cache
def said() -> str:
    """Every text of the programs; `…` stands for what is filled in, and quotes of code are left out."""
    texts = []
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            texts += [_text(node) for node in ast.walk(ast.parse(path.read_text()))]
    return "\n".join(filter(None, texts)).replace("`", "")


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "…" for part in node.values)
    return ""


def unsaid(message: str) -> list[str]:
    """The parts of a message that no program says; `…`, numbers and variables in it are filled in."""
    parts = [part.strip(" :,;'\"().") for part in re.split(r"…|\bN\b|\d+|\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b", message)]
    told = [part for part in parts if len(part) >= _DISTINCT] or [max(parts, key=len)]
    return [part for part in told if part not in said() and not any(one in message for one in OTHERS_SAY)]


@pytest.mark.parametrize("guide", ALL, ids=lambda guide: guide.name)
def test_a_guide_says_what_to_do_when_a_step_fails(guide: Guide) -> None:
    assert len(messages(guide)) >= _LEAST
    assert [row for row in rows(guide) if len(row) != 2 or not all(row)] == []


@pytest.mark.parametrize("guide", ALL, ids=lambda guide: guide.name)
def test_what_a_guide_quotes_is_said_by_a_program(guide: Guide) -> None:
    assert [(message, wrong) for message in messages(guide) if (wrong := unsaid(message))] == []


@pytest.mark.parametrize("english", [guide for guide in ALL if ".ko." not in guide.name], ids=lambda guide: guide.name)
def test_the_korean_table_has_the_same_messages(english: Guide) -> None:
    assert messages(Guide(english.path.with_suffix(".ko.md"))) == messages(english)


def test_a_message_that_no_program_says_is_seen() -> None:
    assert unsaid("the target is … of another kind of cheese") == ["of another kind of cheese"]
    assert unsaid("somebody is at work on …") == []
