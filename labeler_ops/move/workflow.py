"""The workflow of a move: which phases, in which order, there and back. `labeler move …` adds the words."""

import os
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import msgspec

from labeler_ops.errors import DatabaseError
from labeler_ops.files import write_variables
from labeler_ops.move import lock
from labeler_ops.move.checks.check_findings import CheckFindings
from labeler_ops.move.context import Mode, MoveContext, Part
from labeler_ops.move.cutover import Cutover, opened
from labeler_ops.move.dump_move import DumpMove
from labeler_ops.move.engine import Engine, Phase, PhaseAction, PhaseFacts
from labeler_ops.move.object_move import ObjectMove, serving_variables
from labeler_ops.move.replication.database_pair import DatabaseUnreachable
from labeler_ops.move.replication_move import ReplicationMove
from labeler_ops.move.rows import ownership
from labeler_ops.move.rows.ownership import VARIABLES
from labeler_ops.runs import Run, RunError, endpoint_name

# Rows and objects are moved side by side: what takes long while users work, what has to be done while they read only.
ORDER = (
    "check",
    "backup",
    "tables",
    "publication",
    "subscription",
    "following",
    "objects, first pass",
    "read only",
    "copy",
    "objects, last pass",
    "verify",
    "verify objects",
    "upgrade",
    "roles",
    "switch",
)
NAMES = (*ORDER, "deploy", "smoke, reading", "open", "smoke", "backfill")
"""Every phase that a run may have."""

_ENDS = ("finalize", "rollback")
_WAY_BACK = "way back"  # noted with the database that it leads into


@dataclass(frozen=True)
class MoveWorkflow:
    """One move. Each of its commands may be given again after it was cut off."""

    context: MoveContext

    @property
    def run(self) -> Run:
        """Its run."""
        return self.context.run

    @property
    def _back(self) -> MoveContext:
        """The same on the way back."""
        return replace(self.context, back=True)

    @property
    def engine(self) -> Engine:
        """What does its phases."""
        return Engine(self.context.run, self.context.reporter)

    def phases(self, *, by_hand: bool = False) -> list[Phase]:
        """Every phase there; `by_hand` opens although no deployment is looked at."""
        rows, objects = self._rows(), self._objects()
        known = {"check": Phase("check", self._check, description="looks at both sides; changes nothing")}
        known |= _by_name(objects.phases.values() if objects else ())
        if self.context.plan.only is Part.OBJECTS:
            known |= _by_name([rows.phases["read only"]] if rows else [])
            known["switch"] = _environment_of_stores(self.context)
        elif rows:
            known |= _by_name(rows.phases.values())
        serving = self._serving(rows).phases(by_hand=by_hand)
        if isinstance(rows, ReplicationMove):
            opens = [phase.name for phase in serving].index("open") + 1
            serving[opens:opens] = rows.after
        return [*(known[name] for name in ORDER if name in known), *serving]

    async def run_forward(self, *, until: str | None = None) -> None:
        """Do everything that has not ended, up to and with `until`. Raises DatabaseError at the first doubt."""
        phases = self.phases()
        if until is not None and until not in (names := [phase.name for phase in phases]):
            raise RunError(f"--until: expected one of {', '.join(names)}")
        async with self._exclusive():
            try:
                await self.engine.run_phases(phases, until=until)
            except DatabaseError:
                self._warn_of_slot()
                raise

    async def open(self) -> None:
        """Let users write on the new side, and do what comes after it."""
        async with self._exclusive():
            if self.run.ended("switch") is None:
                raise DatabaseError("the target is opened after the switch, which has not been made yet")
            await self.engine.run_phases(self.phases(by_hand=True))

    async def rollback(self, into: str | None = None) -> None:
        """Go back with nothing lost: to the source, or, once the target was open, with all that was written there."""
        async with self._exclusive(into, back=True):
            rows, was_open = self._rows(), opened(self.run.events)
            if was_open and self.run.ended("open") is None:
                raise DatabaseError(
                    "`labeler move open` was cut off, so users may have written on the target: give it again first"
                )
            if isinstance(rows, ReplicationMove):
                await self._back_by_replication(rows, into, was_open=was_open)
            elif was_open:
                await self._back_into_copy(into)
            else:
                await self._undo()

    async def finalize(self, *, unproven: bool = False) -> None:
        """Give up the way back: the source's owner may write to it or drop it."""
        async with self._exclusive():
            if self.run.ended("open") is None:
                raise DatabaseError("there is nothing to finalize before the target is open")
            if self.run.last("back: read only") in {"started", "ended"}:
                raise DatabaseError("a way back has begun: `labeler move rollback` goes on with it")
            rows = self._rows()
            if isinstance(rows, ReplicationMove) and rows.after and self.run.ended("verify") is None and not unproven:
                raise DatabaseError(
                    "the rows were not found the same after the opening: `labeler move rollback`, or, if you know why, "
                    "--unproven"
                )

            async def give_up(facts: PhaseFacts) -> None:
                if rows and self.context.plan.only is not Part.OBJECTS:
                    await rows.give_up(facts)

            await self.engine.run_phase(Phase("finalize", give_up))

    async def check(self) -> CheckFindings:
        """Look at everything that the move needs; nothing is changed."""
        rows, objects = self._rows(), self._objects()
        found = await rows.check() if rows and self.context.plan.only is not Part.OBJECTS else []
        return CheckFindings(found + (await objects.check() if objects else []))

    def object_bytes(self) -> int:
        """How large all objects were when they were looked at."""
        path = self.run.path("compare.json")
        return int(msgspec.json.decode(path.read_bytes())["source_bytes"]) if path.is_file() else 0

    def _rows(self) -> DumpMove | ReplicationMove | None:
        context = self.context
        if context.endpoints.databases is not None and context.plan.mode is Mode.LOGICAL:
            return ReplicationMove(context)
        if context.endpoints.databases is not None:
            return DumpMove(context, context.endpoints.databases.source, context.endpoints.databases.target)
        # Where only the objects are moved, the database that names them is read only for a while.
        database = context.stores.database
        return DumpMove(context, database, database) if database else None

    def _objects(self) -> ObjectMove | None:
        endpoints = self.context.endpoints
        if endpoints.stores is None:
            return None
        return ObjectMove(
            self.context, endpoints.databases.source if endpoints.databases else endpoints.stores.database
        )

    def _serving(self, rows: DumpMove | ReplicationMove | None) -> Cutover:
        moved = rows.target if rows and self.context.endpoints.databases is not None else None
        return Cutover(self.context, moved, rows.open if rows else _nothing, self._images())

    def _images(self) -> dict[str, str] | None:
        """The environment of the images that the moved rows name; None where they are not of the Labeler DB."""
        context = self.context
        if context.endpoints.databases is None or context.plan.database != "labeler":
            return None
        there = serving_variables(context) or {name: os.environ[name] for name in os.environ if name.startswith("S3_")}
        return {VARIABLES["labeler"]: context.endpoints.databases.target, **there} if "S3_ENDPOINT" in there else None

    async def _check(self, facts: PhaseFacts) -> None:
        self._require(await self.check(), facts)

    def _require(self, found: CheckFindings, facts: PhaseFacts) -> None:
        self.context.reporter.show(found)
        facts["findings"] = msgspec.to_builtins(found.findings)
        if found.refused:
            raise DatabaseError("; ".join(found.refused))

    async def _undo(self) -> None:
        with self.run.phase("rollback"):
            await self.engine.undo_phases(self.phases())
            await self._old_environment()

    async def _old_environment(self) -> None:
        databases, plan = self.context.endpoints.databases, self.context.plan
        # The URL of a role that only reads is left out: its password is not that of the services.
        old: dict[str, str] = {}
        if databases and plan.database == "labeler":
            old = await ownership.of_the_source(databases.source, self.context.reporter.line)
        write_variables(self._back.environment, {**old, **serving_variables(self._back)})

    async def _back_by_replication(self, rows: ReplicationMove, into: str | None, *, was_open: bool) -> None:
        """Back to the source, which follows the target; into an empty database where it cannot."""
        if into is not None and was_open:
            if rows.is_turning and opened(self.run.events, back=True) and not self._copies_begun():
                raise DatabaseError(
                    "the way back to the source has begun, and users may have written there: "
                    "`labeler move rollback` without --into goes on with it"
                )
            await self._back_into_copy(into)
            return
        if self._copies_begun():
            raise DatabaseError(f"the way back into {self._copies_begun()[-1]} has begun: give that one, --into")
        if was_open and not self.context.plan.reverse:
            raise DatabaseError("nothing flows back (--no-reverse): give an empty database, --into, for all of it")
        if was_open or (self.run.ended("switch") is not None and await rows.flows_back()):
            try:
                await self.engine.run_phases(self.phases_back(None))
            except DatabaseUnreachable as error:
                if was_open:
                    raise DatabaseError(f"{error}. If it is the source that is lost: {rows.way_out}") from error
                self.context.reporter.line(
                    "users never wrote on the target, which is away: the source serves on without it"
                )
            else:
                await self.engine.run_phase(Phase("rollback", _nothing))
                return
        elif self.run.ended("switch") is not None:
            await rows.compare()  # nobody may have written there; who did would lose it now
        with self.run.phase("rollback") as facts:
            await rows.give_up(facts)
            await self._old_environment()

    async def _back_into_copy(self, into: str | None) -> None:
        """Everything of the open target goes into an empty database, and the objects to the old store."""
        phases = self.phases_back(into)
        if into is not None:
            self._require_one_way(endpoint_name(into), phases)
        await self.engine.run_phases(phases)
        rows = self._rows()
        with self.run.phase("rollback") as facts:
            if isinstance(rows, ReplicationMove) and into is not None:
                await rows.leave(into)
            facts["into"] = endpoint_name(into) if into else None

    def phases_back(self, into: str | None) -> list[Phase]:
        """Every phase of the way back once the target was open. Raises DatabaseError where it needs a database."""
        context, rows = self._back, self._rows()
        objects = ObjectMove(context, rows.target if rows else None) if context.endpoints.stores else None
        known = _by_name(objects.phases.values() if objects else ())
        opens: tuple[PhaseAction, str | None] = (_nothing, None)
        if isinstance(rows, ReplicationMove) and into is None:
            known |= rows.phases_back
            opens = rows.open_source, rows.source
        elif rows and context.endpoints.databases is not None:
            if into is None:
                raise DatabaseError(
                    "the target has been written to since it was opened: give an empty database, --into, for all of it"
                )
            copied = DumpMove(context, rows.target, into)
            known |= _by_name([self._check_back(copied), *copied.phases.values()])
            opens = copied.open, into
        elif rows:
            stopped = DumpMove(context, rows.source, rows.source)
            known |= _by_name([stopped.phases["read only"], _environment_of_stores(context)])
            opens = stopped.open, None
        else:
            known |= _by_name([_environment_of_stores(context)])
        serving = Cutover(context, opens[1], opens[0]).phases(by_hand=True)
        return [*(known[name] for name in (f"back: {name}" for name in ORDER) if name in known), *serving]

    def _check_back(self, rows: DumpMove) -> Phase:
        async def check(facts: PhaseFacts) -> None:
            self._require(CheckFindings(await rows.check()), facts)

        return Phase("back: check", check)

    def _require_one_way(self, into: str, phases: Sequence[Phase]) -> None:
        """Go on into the database that a way back was begun with. Another one starts over, until users were let in."""
        noted = self._copies_begun()
        if noted and noted[-1] == into:
            return
        if noted and opened(self.run.events, back=True):
            raise DatabaseError(f"the way back into {noted[-1]} was opened already: give that one")
        for phase in phases:
            self.run.forget(phase.name)
        self.run.note(_WAY_BACK, into=into)

    def _copies_begun(self) -> list[str]:
        """Into which databases a way back was begun."""
        return [event.facts["into"] for event in self.run.events if event.phase == _WAY_BACK]

    def _warn_of_slot(self) -> None:
        if self.run.began("publication") and not opened(self.run.events):
            self.context.reporter.line(
                "a slot keeps the source's log until the run goes on, and fills its disk in the end: "
                f"`labeler move rollback --run {self.run.id}` gives the move up"
            )

    @asynccontextmanager
    async def _exclusive(self, into: str | None = None, *, back: bool = False) -> AsyncIterator[None]:
        """Keep everybody else away, refuse a run that is over, and write down what became of it."""
        target = self.context.endpoints.databases.target if self.context.endpoints.databases else None
        needed, wanted = ((into,), (target,)) if back else ((target,), ())
        async with lock.exclusive(self.run.directory, *filter(None, needed), if_there=[*filter(None, wanted)]):
            self.run.read_again()  # what another did before we were alone
            for end in _ENDS:
                if self.run.ended(end) is not None:
                    raise DatabaseError(f"run {self.run.id} is over: {end} has been done")
            try:
                yield
            finally:
                self.engine.write_report()


def _environment_of_stores(context: MoveContext) -> Phase:
    """The switch where only objects are moved."""

    async def write(facts: PhaseFacts) -> None:
        facts["environment"] = write_variables(context.environment, serving_variables(context)).name

    return Phase(context.name("switch"), write, description="the new environment")


async def _nothing(_: PhaseFacts) -> None:
    """Nothing is left to do."""


def _by_name(phases: Iterable[Phase]) -> dict[str, Phase]:
    return {phase.name: phase for phase in phases}
