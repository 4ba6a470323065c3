"""The examples of the OpenAPI document are what the service answers: recorded from it, and compared with it.

After a change of what an operation takes or answers: `WRITE_EXAMPLES=1 pytest tests/access/test_examples.py`, and then
`labeler openapi > docs/openapi.json`.
"""

import os
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

import labeler_api
from labeler_api.app import describe
from labeler_api.http.endpoint import Operation
from labeler_api.http.openapi.document import operation_id
from tests.fixtures.access.callers import Callers
from tests.fixtures.access.calls import call_of
from tests.fixtures.access.sample import build
from tests.fixtures.access.table import Rule, rules
from tests.fixtures.operations import documented, name_of

_FILE = Path(labeler_api.__file__).with_name("examples.json")
_DOCUMENT = describe()


def _asked() -> dict[str, tuple[Operation, Rule]]:
    """Each operation with the first row of the table in which the owner may do it."""
    operations = {name_of(operation).replace(":path}", "}"): operation for operation in documented()}
    found: dict[str, tuple[Operation, Rule]] = {}
    for rule in rules():
        operation = operations.get(rule.call.replace(" /api/v1", " ", 1)) or operations.get(rule.call)
        if operation is not None and not rule.expected("owner", "private").refused:
            found.setdefault(operation_id(operation), (operation, rule))
    return found


_ASKED = _asked()


def _described(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = next(
        described
        for operations in _DOCUMENT["paths"].values()
        for described in operations.values()
        if described["operationId"] == operation_id(operation)
    )
    return found


async def _recorded(callers: Callers, operation: Operation, rule: Rule) -> dict[str, Any]:
    """Ask, and note what was sent and what came."""
    call, sample = call_of(rule.call, rule.case), await build(callers.db)
    if call.arrange:
        await call.arrange(callers.api, sample, "owner")
    ask = call.ask(sample, "owner")
    answer = await callers.send("owner", rule.call, sample, ask)
    assert answer.status_code == operation.status, answer.text
    fields = operation.path_type.__struct_fields__ if operation.path_type else ()
    path = {name: ask.path[name] if name in ask.path else getattr(sample, name) for name in fields}
    given = {name: value == "true" if value in {"true", "false"} else value for name, value in ask.params.items()}
    example: dict[str, Any] = {"parameters": {**path, **given}}
    if operation.body_type is not None:
        example["request"] = ask.json
    if answer.headers.get("content-type") == "application/json" and answer.content and not ask.link:
        example["response"] = _short(answer.json())
    return example


def _short(value: Any) -> Any:
    """Two items say what a list is like, and no token is printed that looks like one that works."""
    if isinstance(value, list):
        return [_short(item) for item in value[:2]]
    if isinstance(value, dict):
        return {name: "<token>" if name == "access_token" else _short(item) for name, item in value.items()}
    return value


def test_every_operation_has_an_example() -> None:
    assert {operation_id(operation) for operation in documented()} == _ASKED.keys()
    assert _examples().keys() == _ASKED.keys()


async def test_the_examples_are_what_the_service_answers(callers: Callers) -> None:
    now = {name: await _recorded(callers, *_ASKED[name]) for name in sorted(_ASKED)}
    if os.environ.get("WRITE_EXAMPLES"):
        _FILE.write_bytes(msgspec.json.format(msgspec.json.encode(now), indent=1) + b"\n")
    others = [name for name, example in _examples().items() if _shape(example) != _shape(now[name])]
    assert others == [], "run: WRITE_EXAMPLES=1 pytest tests/access/test_examples.py"


@pytest.mark.parametrize("name", sorted(_ASKED))
def test_an_example_is_what_its_schema_says(name: str) -> None:
    operation, example = _ASKED[name][0], _examples()[name]
    described = _described(operation)
    for parameter in described["parameters"]:
        if "example" in parameter:
            _validate(parameter["schema"], parameter["example"])
    if "request" in example:
        [content] = described["requestBody"]["content"].values()
        assert content["example"] == example["request"]
        _validate(content["schema"], content["example"])
    if "response" in example:
        content = described["responses"][str(operation.status)]["content"]["application/json"]
        assert content["example"] == example["response"]
        _validate(content["schema"], content["example"])


def test_the_examples_of_errors_are_what_their_schema_says() -> None:
    for described in _DOCUMENT["components"]["responses"].values():
        content = described["content"]["application/json"]
        _validate(content["schema"], content["example"])


def _validate(schema: Any, value: Any) -> None:
    whole = {"components": _DOCUMENT["components"], "allOf": [schema]}
    jsonschema_rs.Draft202012Validator(whole, validate_formats=True).validate(value)


def _examples() -> dict[str, Any]:
    examples: dict[str, Any] = msgspec.json.decode(_FILE.read_bytes())
    return examples


def _shape(value: Any) -> Any:
    """Names and types; ids and times differ from run to run. Maps from an id to a thing keep the thing."""
    if isinstance(value, dict):
        free = any("_" in name and any(character.isdigit() for character in name) for name in value)
        shapes = {name: _shape(each) for name, each in value.items()}
        return sorted(map(str, shapes.values())) if free else shapes
    if isinstance(value, list):
        return [_shape(value[0])] if value else []
    return type(value).__name__
