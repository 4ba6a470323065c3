"""The watch over the event loop sees what holds it, and not that the machine is busy."""

import asyncio
import subprocess
import sys
import time

from service_kit import event_loop


async def test_a_callback_that_holds_the_loop_is_seen() -> None:
    lags, held = list[float](), list[float]()
    async with event_loop.watched(lags.append, held.append):
        await asyncio.sleep(0.3)
        time.sleep(0.4)  # noqa: ASYNC251 - the fault that is watched for
        await asyncio.sleep(0.3)
    assert max(lags) >= 0.25
    assert max(held) >= 0.25
    assert len(lags) >= 3


async def test_a_machine_that_is_busy_is_no_fault_of_the_loop() -> None:
    """More work than cores: what the thread waits for a core counts as lag, and not as a loop that was held."""
    spin = "import time; end = time.monotonic() + 4\nwhile time.monotonic() < end: pass"
    others = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(8)]  # noqa: ASYNC220
    held = list[float]()
    async with event_loop.watched(lambda _: None, held.append):
        end = time.monotonic() + 2
        while time.monotonic() < end:
            began = time.thread_time()
            while time.thread_time() - began < 0.02:  # as much computing as a piece of work may take
                pass
            await asyncio.sleep(0.001)
    for other in others:
        other.kill()
        other.wait()
    assert held
    assert max(held) < 0.15
