"""The engine of a move: phases in their order, each written down before and after, and taken back in reverse.

A phase that has ended is not done again, so a move that was cut off goes on at the next one. Before a phase begins, the
ones before it are looked at: what they did has to stand still.
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

Facts: TypeAlias = dict[str, Any]
Do: TypeAlias = Callable[[Facts], Awaitable[None]]
Look: TypeAlias = Callable[[], Awaitable[str | None]]
Back: TypeAlias = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Phase:
    """A name, a way to do it, a way to look whether it is done, and a way back.

    `do` fills in what the journal keeps, and may be begun anew wherever it was cut off. `look` says what is the matter
    with what was done, None when it stands. `back` takes it back, also when it was cut off. `says` is its line of the
    plan; `unless` says why this run leaves it to a person. A phase that `proves` runs before the looks at earlier
    phases: it names what differs, which says more than that something does not stand.
    """

    name: str
    do: Do
    look: Look | None = None
    back: Back | None = None
    says: str = ""
    unless: str | None = None
    proves: bool = False


@dataclass(frozen=True)
class Engine:
    """Does the phases of one run, and says so."""

    run: Run
    reporter: Reporter

    async def forth(self, phases: Sequence[Phase], *, until: str | None = None) -> None:
        """Do every phase that has not ended, up to and with `until`; stop before one that is left to a person.

        Raises DatabaseError and its kin at the first doubt.
        """
        for place, phase in enumerate(phases):
            if self.run.ended(phase.name) is not None:
                self.reporter.line(f"{phase.name}: done already")
            elif phase.unless is not None:
                return
            else:
                if not phase.proves:
                    await self._stand(phases[:place])
                await self.one(phase)
            if phase.name == until:
                return

    async def one(self, phase: Phase) -> None:
        """Do one phase, whatever the journal says of it."""
        self.reporter.line(phase.name)
        with self.run.phase(phase.name) as facts:
            try:
                await phase.do(facts)
            except ExceptionGroup as group:
                raise first_error(group) from group
            except DatabaseError:
                raise
            except FAILURES as error:
                raise DatabaseError(f"{phase.name}: {error or type(error).__name__}") from error

    async def back(self, phases: Sequence[Phase]) -> None:
        """Take back what was begun, the last first. Safe to repeat."""
        for phase in reversed(phases):
            if phase.back is not None and self.run.began(phase.name):
                self.reporter.line(f"back: {phase.name}")
                await phase.back()

    async def _stand(self, before: Sequence[Phase]) -> None:
        looks = [(phase, phase.look) for phase in before if phase.look and self.run.ended(phase.name) is not None]
        for phase, look in looks:
            if (matter := await look()) is not None:
                raise DatabaseError(f"{phase.name}: {matter}")

    def written(self) -> None:
        """Write what became of the run beside its journal."""
        with suppress(OSError):  # a full disk has said so already
            move_report.write(self.run)
