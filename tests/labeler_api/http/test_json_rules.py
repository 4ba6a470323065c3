"""The rules of JSON: one piece at a time says what the whole says, and sizes are those of PostgreSQL."""

import itertools
import json
import random
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from labeler_api.http.input import json_pieces, json_rules
from labeler_api.http.input.json_rules import Broken, judge, stored_bytes
from tests.fixtures.api import Api
from tests.fixtures.timing import check_within

_TEXTS = 1000
# Judged in pieces of 64 bytes these are hundreds of pieces. One text in eight would have more, and up to 600 KB: 98 of
# 100 bytes in all, a minute's work, and no other shapes than the rest.
_MOST_BYTES = 20_000
TEXTS = [0, 1.5, -3, True, None, "", "a,b", "[{", '\\"x', "é漢", '"', 12345678901, "😀" * 3, "x" * 100, 1e30]


def _value(source: random.Random, depth: int) -> Any:
    kind = source.random()
    if depth <= 0 or kind < 0.4:
        return source.choice(TEXTS)
    if kind < 0.7:
        return [_value(source, depth - 1) for _ in range(source.choice([0, 1, 2, 5, 30]))]
    names = [
        source.choice("abcdefghij") + str(i) + source.choice(["", "\\", '"', "é"]) for i in range(source.choice([0, 8]))
    ]
    if kind > 0.95:  # a list of objects, as files of annotations are
        return [dict.fromkeys(names, _value(source, depth - 2)) for _ in range(source.choice([1, 3, 30]))]
    return {name: _value(source, depth - 1) for name in names}


def _broken(source: random.Random, text: bytes) -> bytes:
    at = source.randrange(len(text) + 1)
    kind = source.random()
    if kind < 0.4:
        return text[:at] + text[at + 1 :]
    if kind < 0.8:
        return (
            text[:at] + source.choice([b'"', b"[", b"]", b"{", b"}", b",", b":", b" ", b"\\", b"0", b"e"]) + text[at:]
        )
    return text[:at]


def _texts(seed: int) -> Iterator[bytes]:
    source = random.Random(seed)
    left = _TEXTS
    while left:
        value = _value(source, source.choice([2, 3, 5]))
        text = json.dumps(value, indent=source.choice([None, 1]), ensure_ascii=source.random() < 0.5).encode()
        if len(text) <= _MOST_BYTES:
            left -= 1
            yield text
            yield _broken(source, text)


def _kept(check: Any, text: bytes) -> bool:
    try:
        check(text)
    except Broken:
        return False
    return True


@pytest.mark.parametrize("seed", [1, 2])
def test_pieces_are_judged_as_the_whole_is(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(json_pieces, "SHORT_BYTES", 64)
    monkeypatch.setattr(json_pieces, "_READ_BYTES", 50)
    monkeypatch.setattr(json_pieces, "_PAUSE_SECONDS", 0)  # of so short pieces there are a hundred thousand
    differ = [text for text in _texts(seed) if _kept(json_pieces.check_all, text) != _kept(judge, text)]
    assert differ == []


@pytest.mark.parametrize(
    "number",
    [
        "1e-16383",
        "1e-400",
        "0e999",
        "0e-999",
        "1e309",
        "-1e999",
        "9" * 400,
        "0." + "1" * 200,
        "1E+0400",
        "1" * 99 + "e300",
    ],
)
def test_absurd_numbers_are_refused(number: str) -> None:
    for text in (f'{{"a": [{number}]}}', f"[{'0,' * 20_000}{number}]"):
        assert not _kept(json_pieces.check_all, text.encode()), number


@pytest.mark.parametrize(
    "number", ["1.7976931348623157e308", "5e-324", "2.2250738585072014E-308", "0." + "1" * 60, "1e22"]
)
def test_what_a_double_can_hold_is_taken(number: str) -> None:
    judge(f'{{"a": {number}, "1e-16383": "1e-16383"}}'.encode())


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (b'[{"a":1,"b":[2,3]},{"a":"4"}]', True),
        (b'[{"a":1,"a":2}]', False),
        (b'[{"a":1,"a":2},{"b":":"}]', False),  # as many colons as names would have that are not there
        (b'[{"a":{"b":1}},{"c":{"b":1,"b":2}}]', False),
        (b'[{"a":":","b":"{"}]', True),
        (b'[{"\\u0061":1,"a":2}]', False),
        (b'{"a":1,"a":2}', False),
        (b'{"a":1,"b":{"a":2}}', True),
        (b'[[{"a":1,"a":2}],{"a":1}]', False),
        (b'":"', True),
    ],
)
def test_a_name_that_stands_twice_is_seen_at_first_sight_and_at_a_second(text: bytes, kept: bool) -> None:
    assert _kept(judge, text) == kept
    assert _kept(json_pieces.check_all, text) == kept


async def test_no_text_is_stored_larger_than_it_is_counted(api: Api) -> None:
    """PostgreSQL writes each digit of a number, and a blank behind each comma and colon."""
    shapes = ["[1e308,5e-324,1E+3]", '{"a":[],"b":{"c":"1e300\\"e9"}}', "[0.10,1.50e1,-2e-5]", '"1e5"', "[[],{}]"]
    kept = (text.decode() for text in _texts(3) if _kept(judge, text))
    texts = [*itertools.islice(kept, 300), *shapes]
    async with api.db.read() as connection:
        for text in texts:
            size = await connection.fetchval("SELECT octet_length($1::jsonb::text)", text)
            assert size <= stored_bytes(text.encode()), text[:300]


def test_strings_of_any_length_are_no_depth() -> None:
    judge(b'"' + b"[" * 100_000 + b'"')
    assert json_rules.too_deep(b"[" * 40 + b"]" * 40, 32)


def _seconds(text: bytes) -> float:
    started = time.thread_time()
    json_pieces.check_all(text)
    return time.thread_time() - started


def test_what_is_long_on_every_level_is_looked_at_once() -> None:
    """Each level looked at the same bytes anew: 630 KB of lists in lists took 6.5 s of a thread."""
    content, flat, nested = b"[[]]," * 3600, b"", b""
    for _ in range(8):
        flat += b"[" + content + b"0],"
        nested += b"[" * 28 + content + b"0" + b"]" * 28 + b","
    one_level = min(_seconds(b"[" + flat + b"0]") for _ in range(3))
    check_within(
        min(_seconds(b"[" + nested + b"0]") for _ in range(3)), 8 * one_level
    )  # 28 levels were 20 times as much


@pytest.mark.parametrize(
    ("number", "whole"),
    [
        ("3.0", "3"),
        ("-3.0", "-3"),
        ("3e0", "3"),
        ("1.5e1", "15"),
        ("1E+2", "100"),
        ("0.5", None),
        ("3", None),
        ("1e-1", None),
        ("9223372036854775807.0", "9223372036854775807"),
        ("9223372036854775808.0", None),
        ("1e99", None),
        ("1" + "0" * 50 + ".0", None),
    ],
)
def test_whole_numbers_are_written_as_such(number: str, whole: str | None) -> None:
    text = '{"a 1.0":["1.0\\"2.0",%s,7,-7,[%s]],"b":%s}'
    expected = text % ((whole or number,) * 3)
    assert json_rules.with_whole_numbers((text % ((number,) * 3)).encode()) == expected.encode()
    for cut in ('"1.0', '"1.0\\', "1.", "1e", "-", "1.0.0", "1e1e1"):  # a decoder has refused them: no rule but an end
        assert json_rules.with_whole_numbers(f'[{number},"x",{cut}'.encode()).startswith(
            f"[{whole or number},".encode()
        )


def test_whole_numbers_take_no_more_memory_than_the_text() -> None:
    """A body of 16 MiB with one 1.0 took 1.4 GB, since every number was held."""
    for item in (b"0,", b'"",', b"1.0,", b"[],"):
        text = b"[" + item * 50_000 + b"1.0]"
        tracemalloc.start()
        json_rules.with_whole_numbers(text)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4 * len(text), item
