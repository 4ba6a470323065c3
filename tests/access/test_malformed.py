"""What cannot be meant is 422 that says where, and what nobody can have is 404: never a 500, and nothing is changed."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import msgspec
import pytest

from labeler_api.errors import RangeNotSatisfiable
from labeler_api.http.endpoint import Operation
from tests.fixtures.access.callers import Callers
from tests.fixtures.access.calls import Ask, call_of
from tests.fixtures.access.sample import Sample, build, rows_of
from tests.fixtures.access.table import Rule, rules
from tests.fixtures.language import check_sentence, is_of_a_validator
from tests.fixtures.operations import documented, may_be_malformed, name_of

_OPERATIONS = {name_of(operation).replace(":path}", "}"): operation for operation in documented()}
_BODIES = (b"", b"{", b"[]", b"null", b'{"a": NaN}', b"\xff\xfe", b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}")
_TEXTS = ("\x00", "a\x00b", "x" * 4000, "%00", "..%2f", "\u202e", "0x10", "-1", str(2**64), "1e400")


def _operation(rule: Rule) -> Operation | None:
    return _OPERATIONS.get(rule.call.replace(" /api/v1", " ", 1))


def _first_rules(wanted: Callable[[Operation], object]) -> list[Rule]:
    """A row of each call that the owner may do and that is wanted."""
    found: dict[str, Rule] = {}
    for rule in rules():
        operation = _operation(rule)
        if operation is None or rule.expected("owner", "private").refused:
            continue
        if wanted(operation):
            found.setdefault(rule.call, rule)
    return list(found.values())


@pytest.mark.parametrize("rule", _first_rules(may_be_malformed), ids=lambda rule: rule.name)
async def test_what_is_malformed_is_422(callers: Callers, rule: Rule) -> None:
    operation = _operation(rule)
    assert operation
    sample = await build(callers.db)
    ask = call_of(rule.call, rule.case).ask(sample, "owner")
    before = await rows_of(callers.db, sample)
    answers = [(what, await _sent(callers, rule, sample, ask, **wrong)) for what, wrong in _malformations(operation)]
    assert answers
    for what, answer in answers:
        assert answer.status_code == 422, (what, answer.text)
        body = answer.json()
        assert body["errors"], what
        check_sentence(body["detail"], what)
        for error in body["errors"]:
            assert not is_of_a_validator(error["message"]), (what, error)
        assert all(isinstance(error["message"], str) and error["loc"] for error in body["errors"])
    assert await rows_of(callers.db, sample) == before


def _malformations(operation: Operation) -> Iterator[tuple[str, dict[str, Any]]]:
    """Ways to ask the operation that its types rule out."""
    for field in _fields(operation.path_type):
        if field.type is not str:
            yield f"path {field.name}", {"path": {field.name: "x" * 300}}
    for field in _fields(operation.query_type):
        if field.name == "cursor":  # a text, but none that anybody may make up
            yield "a cursor of one's own", {"params": {"cursor": "mine"}}
        for value in ("x", "-1", "x" * 5000):
            if not _fits(value, field.type):
                yield f"query {field.name}={value[:10]}", {"params": {field.name: value}}
    if operation.body_type is not None:
        for body in _BODIES:
            yield f"body {body[:20]!r}", {"content": body}
        yield "no JSON", {"content": b"a=1", "content_type": "application/x-www-form-urlencoded"}


def _fields(kind: type[msgspec.Struct] | None) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(kind) if kind is not None else ()


def _fits(value: str, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        return False
    return True


async def _sent(
    callers: Callers,
    rule: Rule,
    sample: Sample,
    ask: Ask,
    *,
    path: dict[str, object] | None = None,
    params: dict[str, str] | None = None,
    content: bytes | None = None,
    content_type: str = "application/json",
) -> httpx.Response:
    url = callers.url(rule.call, sample, Ask(path={**ask.path, **(path or {})}))
    query = {**ask.params, **(params or {})}
    if content is None:
        return await callers.client("owner").request(rule.method, url, params=query, json=ask.json)
    headers = {"Content-Type": content_type}
    return await callers.client("owner").request(rule.method, url, params=query, content=content, headers=headers)


@pytest.mark.parametrize("rule", _first_rules(lambda o: "{" in o.path), ids=lambda rule: rule.name)
async def test_an_id_that_nothing_can_have_is_refused(callers: Callers, rule: Rule) -> None:
    sample = await build(callers.db)
    ask = call_of(rule.call, rule.case).ask(sample, "owner")
    before = await rows_of(callers.db, sample)
    wrong = {}
    for name in re.findall(r"\{(\w+)\}", rule.path):
        for text in _TEXTS:
            answer = await _sent(callers, rule, sample, ask, path={name: text})
            if answer.status_code >= 500 or (answer.status_code < 400 and name != "image_id"):
                wrong[name, text[:20]] = answer.text
    assert wrong == {}
    assert await rows_of(callers.db, sample) == before


@pytest.mark.parametrize("rule", _first_rules(lambda o: o.body_type or o.multipart), ids=lambda rule: rule.name)
async def test_what_is_announced_as_too_large_is_not_read(callers: Callers, rule: Rule) -> None:
    operation = _operation(rule)
    assert operation
    sample = await build(callers.db)
    ask = call_of(rule.call, rule.case).ask(sample, "owner")
    kind = "application/json" if operation.body_type else "multipart/form-data; boundary=x"
    answer = await callers.client("owner").request(
        rule.method,
        callers.url(rule.call, sample, ask),
        params=ask.params,
        content=b"{}",
        headers={"Content-Type": kind, "Content-Length": str(2**40)},
    )
    assert answer.status_code == 413, answer.text
    assert answer.json()["code"] == "body_too_large", answer.text


@pytest.mark.parametrize("rule", _first_rules(lambda o: RangeNotSatisfiable in o.errors), ids=lambda rule: rule.name)
async def test_a_range_beyond_the_end_is_416(callers: Callers, rule: Rule) -> None:
    call, sample = call_of(rule.call, rule.case), await build(callers.db)
    assert call.arrange
    await call.arrange(callers.api, sample, "owner")
    beyond = replace(call.ask(sample, "owner"), headers={"Range": "bytes=999999-"})
    answer = await callers.send("owner", rule.call, sample, beyond)
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */2"
