"""Query strings mean the same whether there is something in them to decode or not."""

from urllib.parse import parse_qsl

import pytest
from starlette.requests import Request

from labeler_api.errors import Invalid
from labeler_api.http.input.decoding import query_values


def values(query: bytes) -> dict[str, str]:
    return query_values(Request({"type": "http", "query_string": query, "headers": []}))


@pytest.mark.parametrize(
    "query",
    [
        "",
        "a=1",
        "a=1&b=2",
        "a=1&a=2",
        "a",
        "a=",
        "=1",
        "&&a=1&",
        "a=b=c",
        "a;b=1",
        "a=%20b",
        "a=b+c",
        "a=%EC%82%AC",
        "&",
    ],
)
def test_a_query_is_read_as_the_library_reads_it(query: str) -> None:
    assert values(query.encode()) == dict(parse_qsl(query, keep_blank_values=True))


@pytest.mark.parametrize("query", [b"a=\xff", b"a=%ff", b"a=1&b=\xea\xb3\xa0"])
def test_what_is_not_encoded_is_refused(query: bytes) -> None:
    with pytest.raises(Invalid, match="percent-encoded"):
        values(query)
