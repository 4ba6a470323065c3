"""Files that somebody meant ill, or that broke on their way."""

import io
import sys
import time
import tracemalloc
import zipfile
from types import FrameType

import pytest

from labeler_api.imports.readers.items import Unreadable
from tests.fixtures.annotation_files import boxes, coco, packed
from tests.fixtures.import_reading import count, read
from tests.fixtures.language import is_of_a_validator
from tests.fixtures.timing import check_within

GOOD = coco(boxes(1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"[]", "neither a JSON object"),
        (b"\x00\x01", "neither a JSON object"),
        (GOOD.decode().encode("utf-16"), "neither a JSON object"),
        (GOOD[:-1], "not valid JSON"),
        (GOOD + b"{}", "not valid JSON"),
        (b"{}", 'neither "annotations" nor "images"'),
        (b'{"annotations": 7}', "annotations has to be a list"),
        (b'{"annotations": [NaN]}', "not valid JSON"),
        (b'{"annotations": [Infinity]}', "not valid JSON"),
        (GOOD.replace(b"scratch", b"half a character: \\ud800"), "not valid JSON"),
        (b'{"annotations": [], "annotations": []}', 'the name "annotations" stands twice'),
        (b'{"annotations": [], "annot\\u0061tions" : []}', 'the name "annotations" stands twice'),
        (b'{"annotations": [{"bbox": 1, "id": {"a": "}", "a": 2}}]}', 'the name "a" stands twice'),
        (b'{"annotations": [' + b"[" * 40 + b"1" + b"]" * 40 + b"]}", "nested deeper than 32"),
        (b'{"annotations": ' + b'{"a":' * 40 + b"1" + b"}" * 41, "nested deeper than 32"),
        (b'{"annotations": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested deeper than 32"),
        (b"PK\x03\x04 and no archive", "the archive cannot be taken"),
        (packed({"labels/1.txt": b"0" * 3_000_000, "data.yaml": "names: [a]"}), "more than 100 times its size"),
    ],
)
def test_it_is_refused_in_words(content: bytes, message: str) -> None:
    with pytest.raises(Unreadable, match=message) as caught:
        read(content)
    assert not is_of_a_validator(str(caught.value))


def test_names_are_equal_only_in_one_object() -> None:
    assert read(b"\xef\xbb\xbf" + GOOD).messages == []
    nested = b'{"annotations": [], "a": {"a": ["a", "a"], "b": {"a": "\\"a\\": {"}}, "images": [], "b": "a"}'
    assert read(nested).messages == []


def test_bytes_that_are_no_text_are_named() -> None:
    found = read(GOOD.replace(b"train/good", b"train/\xff"))
    assert ("images[0]", "is not UTF-8") in found.messages


def test_a_member_that_lies_about_its_size_is_not_read_on() -> None:
    out = io.BytesIO(packed({"data.yaml": "names: [a]", "labels/1.txt": "0 0.5 0.5 0.1 0.1\n" * 40}))
    with zipfile.ZipFile(out) as archive:
        size = archive.getinfo("labels/1.txt").file_size
    content = out.getvalue().replace(size.to_bytes(4, "little"), (size // 2).to_bytes(4, "little"))
    ((place, _),) = read(content).messages
    assert place == "labels/1.txt"


def test_a_box_takes_few_calls() -> None:
    """Of functions, Python's and C's: some 40, and four times as many with a look at the end of each item."""
    content = coco([{"bbox": [n % 600, 1.5, 2, 3], "image_id": 1 + n % 100} for n in range(2000)], ["a"] * 100)
    calls = 0

    def note(_: FrameType, event: str, __: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(note)
    try:
        assert count(content) == 2000
    finally:
        sys.setprofile(None)
    assert calls < 2000 * 80


def test_a_large_file_takes_little_memory_and_little_time() -> None:
    names = [f"{n}.jpg" for n in range(100)]
    content = coco([{"bbox": [n % 600, 1, 2, 3], "image_id": 1 + n % 100} for n in range(20_000)], names)
    started = time.perf_counter()
    assert len(read(content).drafts) == 20_000
    check_within(time.perf_counter() - started, 20)  # a fraction of a second where nothing else runs
    tracemalloc.start()
    try:
        with pytest.raises(Unreadable):
            read(content[:-1] + b',"annotations":[]}')
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024**2
    finally:
        tracemalloc.stop()
