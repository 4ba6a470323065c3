"""A move by logical replication in phases of a run, as the move by dump has them: migrate, open, then back or finalize.

Up to `copying` everybody writes. `stand-still` stops writing on the source, waits for the last change and compares;
`switch` turns the direction round: from then on, what is written on the target flows back to the source, so that the
way back is a stop as short as the first. The same command goes on where one that was killed was.
"""

import getpass
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from labeler_ops.database.errors import DatabaseRefused
from labeler_ops.database.move.migration import Migration
from labeler_ops.database.replication.channel import drop_publication
from labeler_ops.database.replication.leftovers import drop_everything
from labeler_ops.database.replication.options import Mode
from labeler_ops.database.replication.sides import BACK, SideAway, Urls, opened, side
from labeler_ops.database.replication.steps import OPENING, Steps, seen
from labeler_ops.maintenance import fence
from labeler_ops.runs import Run
from labeler_ops.voice import Voice

KIND = "replicate"

_ENDS = ("stop", "finalize", "rollback")


def find(root: Path, urls: Urls) -> Run | None:
    """Find the run of these two databases that is not over."""
    for directory in sorted(root.glob(f"*-{KIND}-*"), reverse=True):
        run = Run.resume(root, directory.name)
        if run.facts.items() >= urls.places.items() and all(run.ended(end) is None for end in _ENDS):
            return run
    return None


class Replication(Steps):
    """One move of one database."""

    @classmethod
    def begin(cls, root: Path, urls: Urls, voice: Voice, *, reverse: bool = True, **options: Any) -> "Replication":
        """Go on with the run of these databases, or start one."""
        facts = {
            **urls.places,
            "mode": Mode.LOGICAL.value,
            "database": "labeler",
            "reverse": reverse,
            "seen": seen(urls),
        }
        run = find(root, urls) or Run.start(root, KIND, facts)
        return cls(run, urls, voice, **options)

    async def migrate(self, *, until: str = "switch") -> None:
        """Do every phase that has not ended, up to and with `until`. Raises DatabaseRefused at the first doubt.

        A doubt before the switch lets users write on the source as before.
        """
        self._require_going_on()
        if self.compare_after and until != "open":
            raise DatabaseRefused("rows are compared after the opening only where that is a part of it: --until open")
        if self.run.ended("stand-still") is None:
            self.run.note("compare", after=self.compare_after)
        names = list(self.phases)[: list(self.phases).index(until) + 1]
        try:
            async with opened(self.urls) as sides:
                await self._do(sides, *(name for name in names if name != "open"))
        except DatabaseRefused:
            self._warn_of_slot()
            raise
        if until == "open":
            await self.open()

    async def open(self) -> None:
        """Let users write on the target. From now on, the way back brings their work along."""
        self._require_going_on()
        if self.run.ended("switch") is None:
            raise DatabaseRefused("the target is opened after the switch, which has not been made yet")
        later = self._compared_after()
        async with opened(self.urls) as sides, self._stop.moment(wanted=later and not self._began(OPENING)) as moment:
            await self._do(sides, "open")
            if moment:
                with self.run.phase("prove"):
                    await self._stop.compare(moment)
        if later and self.run.ended("prove") is None:
            raise DatabaseRefused(
                "the rows were not found the same after the opening, or the comparison was cut off: "
                "`labeler db rollback` compares everything"
            )

    async def switch(self) -> None:
        """Go on from `copying` to the open target in one step: the shortest stop."""
        if self.run.ended("copying") is None:
            raise DatabaseRefused("the target is not a copy yet: `labeler db replicate start` first")
        await self.migrate(until="open")

    async def reverse(self) -> None:
        """Go back to the source once the target was open."""
        if not self._began(OPENING):
            raise DatabaseRefused("the target was not opened yet: `labeler db replicate stop` gives the move up")
        await self.rollback()

    async def rollback(self, into: str | None = None) -> str:
        """Go back with everything that was written on the target; the URL that serves from now on.

        `into`, an empty database, takes a copy of the target where the source cannot follow it.
        """
        self._require_going_on()
        if into is not None:
            return await self._into(into)
        if self._began(OPENING) and not self.reverse_wanted:
            raise DatabaseRefused("nothing flows back (--no-reverse): give an empty database, --into, for all of it")
        if self._began(OPENING) or (self.run.ended("switch") is not None and await self._flows_back()):
            try:
                async with opened(self.urls) as sides:
                    await self._do(sides, "go-back", "rollback")
            except SideAway as error:
                if self._began(OPENING):
                    raise DatabaseRefused(f"{error}. If it is the source that is lost: {self._way_out}") from error
                self.voice.line("users never wrote on the target, which is away: the source serves on without it")
            else:
                return self.urls.source
        elif self.run.ended("switch") is not None:
            await self._stop.compare()  # nobody may have written there; who did would lose it now
        await self._give_up("rollback")
        return self.urls.source

    async def finalize(self) -> None:
        """Give the way back up: slots, publications and subscriptions are dropped on both sides, and the fence."""
        self._require_going_on()
        if self.run.ended("open") is None:
            raise DatabaseRefused("there is nothing to finalize before the target is open")
        if self._compared_after() and self.run.ended("prove") is None:
            raise DatabaseRefused(
                "the rows were not found the same after the opening: `labeler db rollback`, or, "
                "if you know why, `labeler db replicate stop`"
            )
        await self._give_up("finalize")

    async def stop(self) -> None:
        """Take everything away: before the switch that gives the move up, after it the way back."""
        await self._give_up("stop")

    async def _give_up(self, phase: str) -> None:
        if self._began(OPENING) and self.run.ended("open") is None:
            raise DatabaseRefused("`labeler db open` was cut off while it changed sides: give it again first")
        if self._last("go-back") in {"started", "ended"}:
            raise DatabaseRefused("`labeler db rollback` was cut off while it changed sides: give it again first")
        with self.run.phase(phase):
            away = await drop_everything(self.urls, self.voice)
            serving = "target" if self._began(OPENING) else "source"
            if serving in away:
                raise DatabaseRefused(f"the {serving} serves and cannot be reached: give it again when it is back")
            # A fence that this run did not build is another's: the target of that one may be serving.
            if "source" not in away and self._began("stand-still"):
                await fence.off(self.urls.source, by=getpass.getuser())
            if serving == "source":
                self._write_environment("environment.rollback", self.urls.source)
                self._stop.over()

    async def _into(self, into: str) -> str:
        """Copy the target as the other mode does, and then take the replication away."""
        if self._last("go-back") == "ended" and self._last("rollback") in {"started", "failed"}:
            raise DatabaseRefused(
                "the way back to the source has begun, and users may have written there: "
                "`labeler db rollback` without --into goes on with it"
            )
        move = Migration(
            self.run, self.urls.source, self.urls.target, self.voice, jobs=self.jobs, variable=self.variable
        )
        serving = await move.rollback(into)
        await drop_everything(self.urls, self.voice)
        async with AsyncExitStack() as stack:  # a dump brings the publication along, and what it changed of tables
            await drop_publication(await side(stack, "copy", into), BACK)
        return serving

    async def _flows_back(self) -> bool:
        """Whether the source follows the closed target: where it does not, a comparison is enough to go back."""
        if not self.reverse_wanted or self._last("go-back") in {"started", "ended"}:
            return self.reverse_wanted
        try:
            async with opened(self.urls) as sides:
                return (await sides.back.flow()).ready
        except SideAway:
            return True

    def _require_going_on(self) -> None:
        for end in _ENDS:
            if self.run.ended(end) is not None:
                raise DatabaseRefused(f"run {self.run.id} is over: {end} has been done")

    def _warn_of_slot(self) -> None:
        if self._began("publish") and not self._began(OPENING):
            self.voice.line(
                "a slot keeps the source's log until the run goes on, and fills its disk in the end: "
                f"`labeler db rollback --run {self.run.id}` gives the move up"
            )
