"""No answer carries a key that the contract does not name, and each carries all that it does."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.fixtures.access.answers import CALLS, SHAPES, WITHOUT
from tests.fixtures.access.callers import Callers
from tests.fixtures.access.calls import call_of
from tests.fixtures.access.sample import build
from tests.fixtures.access.table import Rule, rules

SECRETS = ("password", "hashed", "secret", "reset_token", "s3_key", "phone")


@dataclass
class Shape:
    """The keys that have to be there, those that may be, and what some of them hold."""

    required: set[str] = field(default_factory=set)
    added: set[str] = field(default_factory=set)
    inside: dict[str, str] = field(default_factory=dict)


def _shapes() -> dict[str, Shape]:
    found: dict[str, Shape] = {}
    current = Shape()
    for word in SHAPES.split():
        if word.endswith(":"):
            current = found.setdefault(word[:-1], Shape())
            continue
        name, _, kind = word.removeprefix("+").partition(":")
        (current.added if word.startswith("+") else current.required).add(name)
        if kind:
            current.inside[name] = kind
    return found


SHAPE_OF = _shapes()
ANSWER_OF = dict(line.rsplit(" ", 1) for line in CALLS.strip().splitlines())


def _short(rule: Rule) -> str:
    return rule.call.replace(" /api/v1", " ", 1)


def _answered() -> list[Rule]:
    """Rows that are answered with JSON."""
    return [rule for rule in rules() if _short(rule) in ANSWER_OF and not rule.expected("owner", "private").refused]


@pytest.mark.parametrize("rule", _answered(), ids=lambda rule: rule.name)
async def test_an_answer_has_the_keys_that_are_named(callers: Callers, rule: Rule) -> None:
    sample = await build(callers.db)
    call = call_of(rule.call, rule.case)
    if call.arrange:
        await call.arrange(callers.api, sample, "owner")
    answer = await callers.send("owner", rule.call, sample, call.ask(sample, "owner"))
    assert answer.status_code == rule.expected("owner", "private").status, answer.text
    wrong = _wrong(answer.json(), ANSWER_OF[_short(rule)], "")
    assert wrong == [], f"{rule.name}: change the answer, or say in tests/fixtures/access/answers.py that it was added"
    names = set(_names(answer.json()))
    assert [name for name in names if any(secret in name for secret in SECRETS)] == []


def _wrong(value: Any, kind: str, place: str) -> list[str]:
    """What is missing and what is too much, by place."""
    if kind.startswith("["):
        assert isinstance(value, list), f"{place} is no list"
        return [found for item in value[:3] for found in _wrong(item, kind[1:-1], f"{place}[]")]
    if value is None and place:
        return []
    shape = SHAPE_OF[kind]
    wrong = [f"{place}.{name} is missing" for name in sorted(shape.required - value.keys())]
    wrong += [f"{place}.{name} is not named" for name in sorted(value.keys() - shape.required - shape.added)]
    for name, inside in shape.inside.items():
        if name in value:
            wrong += _wrong(value[name], inside, f"{place}.{name}")
    return wrong


def _names(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(name for item in value.values() for name in _names(item))]
    return [name for item in value for name in _names(item)] if isinstance(value, list) else []


def test_every_call_of_the_api_is_described() -> None:
    described = ANSWER_OF.keys() | set(WITHOUT)
    calls = {_short(rule) for rule in rules() if rule.path.startswith("/api/v1/")}
    assert sorted(calls - described) == []
    assert sorted(described - {_short(rule) for rule in rules()}) == []
