"""What judging a body costs in time and memory grows as the body does, for every operation and every hostile shape.

Made from the routes, so that a new operation is in it by itself. CPU time of this thread, bytes that this process
allocates, and ratios: other processes do not count.
"""

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress

import msgspec
import pytest

from labeler_api.errors import AppError
from labeler_api.http.endpoint import Operation
from labeler_api.http.input.decoding import decode_json
from tests.fixtures.operations import documented, name_of
from tests.fixtures.sizes import SHAPES
from tests.fixtures.timing import check_within

SIZES = (17 * 1024, 8 * 17 * 1024)  # both longer than one piece; what is quadratic takes twice the bound
NOISE = 4  # times linear: the clock ticks, and larger objects miss the processor's caches
LEAST_SECONDS = 0.002  # below it the clock says little

# The body, the same with its numbers as the type wants them, and the names of an object are there at once: eight times.
# A body with a value at every second byte held as values would be thirty and more.
MOST_TIMES = 12
# A piece of 16 KiB as values of Python, and the places of its brackets.
FLAT_BYTES = 512 * 1024
LEAST_BYTES = 64 * 1024


# What tracing allocations makes slow: many small values, judged in pieces by code that no operation has of its own.
SLOW = {"deep", "deeper than anything", "objects", "exponents", "names"}

WITH_JSON = [operation for operation in documented() if operation.body_type is not None]


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    """The collector looks at all objects of the test session; those of a service are frozen before it serves."""
    gc.disable()
    yield
    gc.enable()


def _seconds(decoder: "msgspec.json.Decoder[object]", body: bytes) -> float:
    started = time.thread_time()
    with suppress(AppError):
        decode_json(body, decoder, len(body))
    return time.thread_time() - started


def _bodies(operation: Operation, shape: Callable[[int], bytes]) -> list[bytes]:
    """A body of each size: a member has a number where there is none, so that all numbers are looked at, too."""
    kind = getattr(operation.body_type, "__origin__", operation.body_type)
    first, *others = [field.encode_name for field in msgspec.structs.fields(kind)]
    last = others[-1] if others else "another"  # not the first again: equal names are refused before the rest is seen
    return [b'{"%s":1.5,"%s":' % (first.encode(), last.encode()) + shape(size) + b"}" for size in SIZES]


@pytest.mark.parametrize("operation", WITH_JSON, ids=name_of)
def test_time_grows_as_the_body_does(operation: Operation) -> None:
    decoder = msgspec.json.Decoder(operation.body_type)
    for name, shape in SHAPES.items():
        bodies = _bodies(operation, shape)
        first, *others = (_seconds(decoder, body) for body in bodies)
        for body, seconds in zip(bodies[1:], others, strict=True):
            times = len(body) / len(bodies[0])
            check_within(seconds, NOISE * times * max(first, LEAST_SECONDS), (name, first, others))


def _peak(decoder: "msgspec.json.Decoder[object]", body: bytes) -> int:
    tracemalloc.start()
    try:
        with suppress(AppError):
            decode_json(body, decoder, len(body))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("operation", WITH_JSON, ids=name_of)
def test_memory_grows_as_the_body_does(operation: Operation) -> None:
    decoder = msgspec.json.Decoder(operation.body_type)
    for name, shape in SHAPES.items():
        if name in SLOW and operation is not WITH_JSON[-1]:
            continue
        bodies = _bodies(operation, shape)
        first, *others = (_peak(decoder, body) for body in bodies)
        for body, peak in zip(bodies[1:], others, strict=True):
            times = len(body) / len(bodies[0])
            assert peak <= NOISE * times * max(first, LEAST_BYTES), (name, first, others)
            assert peak <= FLAT_BYTES + MOST_TIMES * len(body), (name, peak, len(body))
