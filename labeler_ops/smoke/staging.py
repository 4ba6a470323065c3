"""The check before production: everything works, and nothing is slower than on the deployment before."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from labeler_ops.runs import Run
from labeler_ops.smoke.deployment import Deployment, SmokeAccount
from labeler_ops.smoke.latency_comparison import ALL_CALLS, LIMIT, Latency, LatencyComparison, Round, judge
from labeler_ops.smoke.plot import draw
from labeler_ops.smoke.request_mix import calls, prepare
from labeler_ops.smoke.sampling import Call, one_round
from labeler_ops.smoke.smoke import smoke
from labeler_ops.smoke.smoke_dataset import SmokeDataset, clean_up
from labeler_ops.smoke.step_runner import SmokeReport, StepResult

WARM_UP_ROUNDS = 5  # connections, plans and caches
MOST_TIMES = 4
"""While the verdict is undecided, rounds are added, up to this multiple of what was asked for."""


class StagingReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `verdict` is that of all, None where everything works and no latency was measured."""

    run: str
    url: str
    against: str | None
    verdict: Literal["pass", "fail", "undecided"] | None
    smoke: SmokeReport
    latency: Latency | None
    plot: str | None

    def show(self, console: Console) -> None:
        """Print the tables and the verdict."""
        self.smoke.show(console)
        if self.latency is not None:
            console.print(_table(self.latency))
            console.print(_sentence(self.latency), highlight=False)
        verdict = self.verdict or "none, as no latency was measured: name the deployment before with --against"
        console.print(f"verdict: {verdict}; report in {self.run}", highlight=False, markup=False)


@asynccontextmanager
async def filled(url: str, account: SmokeAccount) -> AsyncIterator[dict[str, Call]]:
    """Make a dataset to measure on, lend the calls, and take it away again."""
    async with Deployment(url, account) as deployment:
        await deployment.log_in()
        subject = SmokeDataset(deployment)
        try:
            yield calls(await prepare(subject))
        finally:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                task.uncancel()  # an interruption ends the measuring, not the tidying up
            await clean_up(subject)


async def measure(
    before: tuple[str, SmokeAccount],
    after: tuple[str, SmokeAccount],
    rounds: int,
    on_progress: Callable[[int, int], None],
) -> tuple[list[Round], Latency]:
    """Ask both sides in turns until the verdict is sure or MOST_TIMES `rounds` are done. Raises StepFailed."""
    async with AsyncExitStack() as stack:
        sides = [await stack.enter_async_context(filled(*side)) for side in (before, after)]
        chance = random.Random()  # noqa: S311 - an order
        for _ in range(WARM_UP_ROUNDS):
            await one_round(sides[0], sides[1], chance)
        done: list[Round] = []
        for _ in range(MOST_TIMES):
            for _ in range(rounds):
                done.append(await one_round(sides[0], sides[1], chance))
                on_progress(len(done), rounds * MOST_TIMES)
            latency = await asyncio.to_thread(judge, done)
            if latency.verdict != "undecided":
                break
    return done, latency


async def staging_check(
    run: Run,
    after: tuple[str, SmokeAccount],
    before: tuple[str, SmokeAccount] | None,
    *,
    member: SmokeAccount | None,
    rounds: int,
    told_step: Callable[[StepResult], None],
    told_round: Callable[[int, int], None],
) -> StagingReport:
    """Smoke, then compare, unless something does not work; the report, the samples and the plot are in the run."""
    with run.phase("smoke") as facts:
        smoked = await smoke(*after, member=member, on_step=told_step)
        facts["ok"] = smoked.ok
    latency, plot = None, None
    if smoked.ok and before is not None:
        with run.phase("latency") as facts:
            done, latency = await measure(before, after, rounds, told_round)
            run.write("samples.json", done)
            plot = await asyncio.to_thread(_plotted, run, done, latency)
            facts |= {"verdict": latency.verdict, "rounds": latency.rounds, "change": latency.overall.change}
    verdict = latency.verdict if latency else None
    report = StagingReport(
        run=str(run.directory),
        url=smoked.url,
        against=before[0] if before else None,
        verdict=verdict if smoked.ok else "fail",
        smoke=smoked,
        latency=latency,
        plot=plot,
    )
    run.write("report.json", report)
    with run.path("report.txt").open("w") as file:
        report.show(Console(file=file, width=140))
    return report


def _plotted(run: Run, rounds: list[Round], latency: Latency) -> str | None:
    path = run.path("latency.png")
    try:
        draw(path, rounds, latency)
    except ModuleNotFoundError as error:
        run.note("latency", plot=f"not drawn: {error.name} is missing; pip install 'image-labeler[staging]'")
        return None
    return path.name


def _table(latency: Latency) -> Table:
    title = f"p50/p95/p99 in ms; {latency.rounds} rounds in turns"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("call", no_wrap=True)
    for column in ("before", "after", "p95", "between, %"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in (*latency.calls, latency.overall):
        table.add_row(*_row(one), style="red" if one.verdict == "fail" else "")
    return table


def _row(one: LatencyComparison) -> list[str]:
    before, after = (f"{side.p50:.1f}/{side.p95:.1f}/{side.p99:.1f}" for side in (one.before, one.after))
    name = f"{one.name} (median 1)" if one.name == ALL_CALLS else one.name
    return [name, before, after, f"{one.change:+.1%}", f"{one.low * 100:+.0f} … {one.high * 100:+.0f}"]


def _sentence(latency: Latency) -> str:
    change, limit = f"the p95 of all calls changes by {latency.overall.change:+.1%}", f"{LIMIT:.0%}"
    if latency.verdict == "pass":
        return f"{change}; surely not worse by {limit}"
    if latency.verdict == "undecided":
        return f"{change}; whether it is worse by {limit} is not sure: take more --rounds, at a quieter time"
    worse = [one.name for one in (latency.overall, *latency.calls) if one.verdict == "fail"]
    return f"{change}; worse by more than {limit}: {', '.join(worse)}"
