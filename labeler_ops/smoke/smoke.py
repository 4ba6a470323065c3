"""The checklist against one deployment."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter

from labeler_ops.smoke import steps_reading, steps_writing
from labeler_ops.smoke.deployment import Deployment, SmokeAccount
from labeler_ops.smoke.smoke_dataset import SmokeDataset, clean_up
from labeler_ops.smoke.step_runner import SmokeReport, SmokeStep, StepResult, run_steps


async def smoke(
    url: str,
    account: SmokeAccount,
    *,
    member: SmokeAccount | None = None,
    read_only: bool = False,
    on_step: Callable[[StepResult], None] = lambda _: None,
) -> SmokeReport:
    """Try everything and leave nothing behind. `on_step` hears of each step as it ends. Raises ValueError for the URL.

    `read_only` is for a deployment in maintenance mode: nothing is changed, and one write has to be refused.
    """
    started = perf_counter()
    steps = steps_reading.STEPS if read_only else steps_writing.STEPS
    async with Deployment(url, account) as deployment:
        subject = SmokeDataset(deployment, member)
        results, interrupted = await run_steps(steps, SmokeStep("clean-up", clean_up), subject, on_step)
    return SmokeReport(
        url=deployment.url,
        account=account.email,
        mode="read-only" if read_only else "full",
        ok=not interrupted and all(one.state != "failed" for one in results),
        interrupted=interrupted,
        seconds=round(perf_counter() - started, 3),
        steps=results,
    )


def cancel_on_sigterm() -> None:
    """Let SIGTERM and SIGHUP end the present task as Ctrl-C does, so that it tidies up."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    if task is not None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            with suppress(NotImplementedError, RuntimeError):  # not the main thread: nobody sends it signals
                loop.add_signal_handler(number, task.cancel)
