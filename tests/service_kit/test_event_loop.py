"""The watch over the event loop sees what holds it, and not that the machine is busy."""

import asyncio
import gc
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest

from service_kit import event_loop
from service_kit.event_loop import StepWatch

LIMIT = 0.15


@pytest.fixture
async def noted() -> AsyncIterator[tuple[StepWatch, list[tuple[str, float]]]]:
    """A watch, and what it was told."""
    found = list[tuple[str, float]]()
    watch = StepWatch(LIMIT, lambda what, seconds: found.append((what, seconds)))
    yield watch, found
    watch.close()


async def test_a_late_loop_is_measured() -> None:
    lags = list[float]()
    async with event_loop.watched(lags.append):
        await asyncio.sleep(0.3)
        time.sleep(0.4)  # noqa: ASYNC251 - the fault that is watched for
        await asyncio.sleep(0.3)
    assert max(lags) >= 0.25
    assert len(lags) >= 3


async def test_a_step_that_holds_the_loop_is_named(noted: tuple[StepWatch, list[tuple[str, float]]]) -> None:
    watch, found = noted

    async def work() -> str:
        await asyncio.sleep(0.3)  # waits, and holds nothing
        time.sleep(0.4)  # noqa: ASYNC251 - the fault that is watched for
        await asyncio.sleep(0)
        return "done"

    assert await watch.run("GET /slow", work()) == "done"
    [(what, seconds)] = found
    assert what == "GET /slow"
    assert 0.3 < seconds < 0.6


async def test_errors_and_cancellation_pass(noted: tuple[StepWatch, list[tuple[str, float]]]) -> None:
    watch, found = noted

    async def failing() -> None:
        await asyncio.sleep(0)
        raise LookupError("its own")

    with pytest.raises(LookupError, match="its own"):
        await watch.run("failing", failing())
    told = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.set()
            raise

    task = asyncio.create_task(watch.run("endless", endless()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told.is_set()
    assert found == []


async def test_a_machine_that_is_busy_is_no_fault_of_the_loop(
    noted: tuple[StepWatch, list[tuple[str, float]]],
) -> None:
    """More work than cores: what the thread waits for a core does not count."""
    watch, found = noted
    spin = "import time; end = time.monotonic() + 4\nwhile time.monotonic() < end: pass"
    others = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(8)]  # noqa: ASYNC220

    async def work() -> None:
        end = time.monotonic() + 2
        while time.monotonic() < end:
            began = time.thread_time()
            while time.thread_time() - began < 0.05:  # more computing than a piece of work may take
                pass
            await asyncio.sleep(0.001)

    await watch.run("work", work())
    for other in others:
        other.kill()
        other.wait()
    assert found == []


async def test_the_garbage_of_everybody_is_no_fault_of_one_request(
    noted: tuple[StepWatch, list[tuple[str, float]]],
) -> None:
    watch, found = noted
    everybody = [[number] for number in range(2_000_000)]

    async def work() -> float:
        began = time.perf_counter()
        gc.collect()
        return time.perf_counter() - began

    took = await watch.run("work", work())
    del everybody
    assert found == [], f"collecting took {took:.3f} s"
