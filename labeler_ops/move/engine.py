"""The engine of a move: phases in their order, each written down before and after, and taken back in reverse.

A phase that has ended is not done again, so a move that was cut off goes on at the next one. Before a phase begins, the
ones before it are checked: what they did has to stand still.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from labeler_api.db.failures import FAILURES
from labeler_ops.command_result import first_error
from labeler_ops.errors import DatabaseError
from labeler_ops.move import move_report
from labeler_ops.reporter import Reporter
from labeler_ops.runs import Run

PhaseFacts: TypeAlias = dict[str, Any]
PhaseAction: TypeAlias = Callable[[PhaseFacts], Awaitable[None]]
PhaseCheck: TypeAlias = Callable[[], Awaitable[str | None]]
PhaseUndo: TypeAlias = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Phase:
    """One step of a move.

    `run` fills in what the journal keeps, and may be started again wherever it was cut off. `check` says what is wrong
    with what was done, None when it stands. `undo` takes it back, also when it was cut off. `description` is its line
    of the plan. `left_to_operator` says why this run leaves it to a person. Before a phase that `compares`, earlier
    phases are not checked. Its own report of differences is more precise.
    """

    name: str
    run: PhaseAction
    check: PhaseCheck | None = None
    undo: PhaseUndo | None = None
    description: str = ""
    left_to_operator: str | None = None
    compares: bool = False


@dataclass(frozen=True)
class Engine:
    """Does the phases of one run, and says so."""

    run: Run
    reporter: Reporter

    async def run_phases(self, phases: Sequence[Phase], *, until: str | None = None) -> None:
        """Do every phase that has not ended, up to and with `until`; stop before one that is left to a person.

        Raises DatabaseError and its kin at the first doubt.
        """
        for place, phase in enumerate(phases):
            if self.run.ended(phase.name) is not None:
                self.reporter.line(f"{phase.name}: done already")
            elif phase.left_to_operator is not None:
                return
            else:
                if not phase.compares:
                    await self._check_ended(phases[:place])
                await self.run_phase(phase)
            if phase.name == until:
                return

    async def run_phase(self, phase: Phase) -> None:
        """Do one phase, whatever the journal says of it."""
        self.reporter.line(phase.name)
        with self.run.phase(phase.name) as facts:
            try:
                await phase.run(facts)
            except ExceptionGroup as group:
                raise first_error(group) from group
            except DatabaseError:
                raise
            except FAILURES as error:
                raise DatabaseError(f"{phase.name}: {error or type(error).__name__}") from error

    async def undo_phases(self, phases: Sequence[Phase]) -> None:
        """Take back what was begun, the last first. Safe to repeat."""
        for phase in reversed(phases):
            if phase.undo is not None and self.run.began(phase.name):
                self.reporter.line(f"back: {phase.name}")
                await phase.undo()

    async def _check_ended(self, before: Sequence[Phase]) -> None:
        for phase in before:
            if phase.check is None or self.run.ended(phase.name) is None:
                continue
            if (matter := await phase.check()) is not None:
                raise DatabaseError(f"{phase.name}: {matter}")

    def write_report(self) -> None:
        """Write the report of the run next to its journal."""
        with suppress(OSError):  # a full disk has said so already
            move_report.write(self.run)
