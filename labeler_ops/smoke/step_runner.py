"""Running a list of steps: each is timed, one that fails stops what needs it and nothing else, and all is tidied up."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, Literal, TypeVar

import msgspec
from rich.console import Console
from rich.table import Table

from labeler_ops.runs import redacted
from labeler_ops.smoke.deployment import StepFailed

_T = TypeVar("_T")
State = Literal["ok", "failed", "skipped"]
_COLOURS: dict[State, str] = {"ok": "green", "failed": "red", "skipped": "yellow"}


class Skipped(Exception):
    """A step had nothing to look at; the text says what was missing."""


@dataclass(frozen=True)
class SmokeStep(Generic[_T]):
    """A thing to try. `run` returns a remark, or raises StepFailed or Skipped; `needs` names steps before it."""

    name: str
    run: Callable[[_T], Awaitable[str]]
    needs: tuple[str, ...] = ()


class StepResult(msgspec.Struct, frozen=True):
    """What became of a step."""

    name: str
    state: State
    milliseconds: float
    note: str


class SmokeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of all. `ok` when no step failed and nobody interrupted them."""

    url: str
    account: str
    mode: Literal["full", "read-only"]
    ok: bool
    interrupted: bool
    seconds: float
    steps: list[StepResult]

    def show(self, console: Console) -> None:
        """Print a table and a verdict."""
        table = Table(title=f"{self.url} as {self.account}, {self.mode}", title_justify="left")
        for column in ("step", "state", "ms", "remark"):
            table.add_column(column, justify="right" if column == "ms" else "left", overflow="fold")
        for step in self.steps:
            colour = _COLOURS[step.state]
            table.add_row(step.name, f"[{colour}]{step.state}[/]", f"{step.milliseconds:.0f}", _plain(step.note))
        console.print(table)
        failed = sum(step.state == "failed" for step in self.steps)
        verdict = "everything works" if self.ok else f"{failed} of {len(self.steps)} steps failed"
        console.print(f"{'interrupted; ' if self.interrupted else ''}{verdict} ({self.seconds:.1f} s)", highlight=False)


async def run_steps(
    steps: Sequence[SmokeStep[_T]], clean_up: SmokeStep[_T], subject: _T, on_step: Callable[[StepResult], None]
) -> tuple[list[StepResult], bool]:
    """Run the steps, then `clean_up`, whatever happened before; return the results and whether they were interrupted.

    A cancelled task is an interruption: the steps end, the clean-up is done.
    """
    results: list[StepResult] = []
    interrupted = False
    for step in steps:
        try:
            result = await _run(step, subject, results, interrupted)
        except asyncio.CancelledError:
            interrupted = True
            result = StepResult(step.name, "failed", 0.0, "interrupted")
            if (task := asyncio.current_task()) is not None:
                task.uncancel()  # it is dealt with here: what follows is not to be cancelled
        results.append(result)
        on_step(result)
    results.append(last := await _run(clean_up, subject, [], False))
    on_step(last)
    return results, interrupted


async def _run(step: SmokeStep[_T], subject: _T, before: Sequence[StepResult], interrupted: bool) -> StepResult:
    if interrupted:
        return StepResult(step.name, "skipped", 0.0, "interrupted before it")
    lacking = [one.name for one in before if one.name in step.needs and one.state != "ok"]
    if lacking:
        return StepResult(step.name, "skipped", 0.0, f"needs {', '.join(lacking)}")
    started = perf_counter()
    state: State = "ok"
    try:
        note = await step.run(subject)
    except StepFailed as error:
        state, note = "failed", str(error)
    except Skipped as reason:
        state, note = "skipped", str(reason)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        # An answer of another form than it should have: the deployment's failure, not this program's.
        state, note = "failed", f"an answer lacks what it should have: {type(error).__name__}: {error}"
    return StepResult(step.name, state, round((perf_counter() - started) * 1000, 1), redacted(note))


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
