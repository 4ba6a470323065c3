"""What people read when they sent something wrong: sentences, and none of a validator's words."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from labeler_api.errors import Invalid, invalid
from labeler_api.http.input.decoding import convert, decode_json
from labeler_api.text.patterns import REFUSALS
from tests.fixtures.api import Api
from tests.fixtures.language import check_sentence
from tests.fixtures.operations import documented


class Inner(Struct):
    size: Annotated[float, Meta(gt=0, le=1e7)]


class Sent(Struct):
    user_email: Annotated[str, Meta(max_length=255, pattern=next(iter(REFUSALS)))] | None = None
    class_name: Annotated[str, Meta(min_length=1, max_length=5)] = "x"
    short: Annotated[str, Meta(min_length=2)] = "xx"
    limit: Annotated[int, Meta(ge=1, le=50)] = 1
    less: Annotated[int, Meta(lt=5)] = 1
    role: Literal["viewer", "owner"] | None = None
    roles: list[Annotated[Literal["viewer", "owner"], Meta(description="one")]] = []
    points: Annotated[list[Inner], Meta(min_length=1, max_length=2)] | msgspec.UnsetType = msgspec.UNSET
    pair: tuple[int, int] = (1, 2)
    initial: Annotated[str, Meta(max_length=1)] = ""
    single: Annotated[list[int], Meta(max_length=1)] = []
    is_open: bool = False
    at: datetime | None = None
    by_name: dict[str, Inner] = {}
    odd: Annotated[str, Meta(pattern="^nobody named this$")] = ""


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ('{"user_email": "nobody"}', "The e-mail address is not valid."),
        ('{"class_name": ""}', "The class name is empty."),
        ('{"class_name": "xxxxxx"}', "The class name is longer than 5 characters."),
        ('{"class_name": 1}', "The class name has to be text."),
        ('{"class_name": null}', "The class name has to be text, and may not be left empty."),
        ('{"short": "x"}', "The short has fewer than 2 characters."),
        ('{"limit": 0}', "The limit has to be 1 or more."),
        ('{"limit": 51}', "The limit has to be 50 or less."),
        ('{"limit": 1.5}', "The limit has to be a whole number."),
        ('{"less": 5}', "The field less has to be 4 or less."),
        ('{"role": "king"}', "The role has to be one of owner, viewer."),
        ('{"roles": ["owner", "king"]}', "The field roles[1] has to be one of owner, viewer."),
        ('{"points": []}', "The field points has no entries."),
        ('{"points": {}}', "The field points has to be a list."),
        ('{"points": [{}]}', "The field points[0].size is missing."),
        ('{"points": [{"size": 1}, {"size": 0}]}', "The field points[1].size has to be more than 0."),
        ('{"points": [{"size": 1}, {"size": 1e9}]}', "The field points[1].size has to be 10000000 or less."),
        ('{"points": [{"size": 1}, {"size": 1}, {"size": 1}]}', "The field points has more than 2 entries."),
        ('{"pair": [1]}', "The pair needs exactly 2 entries."),
        ('{"initial": "xx"}', "The initial is longer than 1 character."),
        ('{"single": [1, 2]}', "The single has more than 1 entry."),
        ('{"is_open": "yes"}', "The is open has to be true or false."),
        ('{"at": "noon"}', "The at is not a time such as 2026-11-30T09:00:00Z."),
        ('{"by_name": {"a": {"size": "x"}}}', "The field by_name.size has to be a number."),
        ('{"odd": "x"}', "The odd does not have the form that it needs."),
        ("[]", "The body has to be names with values, in braces."),
        ("", "The body is empty."),
        ("{", "The body is not valid JSON: it is cut off."),
        ('{"a" 1}', "The body is not valid JSON: a colon is missing, at byte 5."),
        ('{"a": "\\x"}', "The body is not valid JSON: a text holds an escape that JSON does not have, at byte 8."),
        ('{"a": 1, "a": 1}', "The body holds the name 'a' twice at one place."),
        ('{"a": "\\ud800"}', "The body is not valid JSON: it is cut off, or an escaped character is half of a pair."),
    ],
)
def test_a_bad_body_is_told_in_a_sentence(body: str, detail: str) -> None:
    with pytest.raises(Invalid) as caught:
        decode_json(body.encode(), msgspec.json.Decoder(Sent))
    assert caught.value.detail == detail
    check_sentence(detail)


def test_a_bad_query_is_told_in_a_sentence() -> None:
    with pytest.raises(Invalid) as caught:
        convert({"limit": "many"}, Sent, "query")
    assert caught.value.detail == "The limit has to be a whole number."
    assert caught.value.extra["errors"] == [{"loc": ["query", "limit"], "message": "has to be a whole number"}]


def test_names_that_the_sender_made_up_are_shown_as_far_as_they_can_be() -> None:
    assert invalid("is missing", "body", "a\x00\\b" * 100).detail == "The field " + "a??b" * 25 + " is missing."


def test_every_pattern_has_words() -> None:
    kinds = [kind for one in documented() for kind in (one.body_type, one.query_type, one.path_type)]
    found = set[str]()
    for kind in kinds:
        if kind is not None:
            found |= set(_patterns(msgspec.inspect.type_info(kind)))
    assert len(found) > 5
    assert found <= REFUSALS.keys()


def _patterns(one: Any) -> Iterator[str]:
    """The patterns of a type, and of all that is in it."""
    if isinstance(one, msgspec.inspect.StrType):
        yield from [one.pattern] if one.pattern is not None else []
    elif isinstance(one, list | tuple):
        for inner in one:
            yield from _patterns(inner)
    elif isinstance(one, msgspec.inspect.Type | msgspec.inspect.Field):
        for name in one.__struct_fields__:
            yield from _patterns(getattr(one, name))


async def test_a_login_without_an_address(api: Api) -> None:
    async with api.client() as nobody:
        answer = await nobody.post("/api/v1/auth/login", json={"email": "nobody", "password": "x"})
    body = answer.json()
    assert answer.status_code == 422
    assert body["detail"] == "The e-mail address is not valid."
    assert body["errors"] == [{"loc": ["body", "email"], "message": "is not valid"}]
