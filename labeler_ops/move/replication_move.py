"""The rows by logical replication: seconds without writes, and afterwards everything flows back to the source.

Up to `following` everybody writes. `read only` stops writing on the source, waits for the last change and compares;
`switch` turns the direction round: from then on, what is written on the target flows back, so that the way back is a
stop as short as the first.
"""

import getpass
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from labeler_ops.errors import DatabaseError
from labeler_ops.files import write_variables
from labeler_ops.maintenance import fence
from labeler_ops.move import write_downtime
from labeler_ops.move.checks.check_findings import CheckFinding
from labeler_ops.move.checks.dump_checks import is_bare
from labeler_ops.move.checks.replication_checks import check_replication
from labeler_ops.move.context import MoveContext
from labeler_ops.move.engine import Phase, PhaseCheck, PhaseFacts
from labeler_ops.move.object_move import serving_variables
from labeler_ops.move.replication import initial_copy
from labeler_ops.move.replication.channel import drop_publication
from labeler_ops.move.replication.database_pair import BACK, DatabaseUnreachable, Urls, drop_everything, opened, side
from labeler_ops.move.replication.write_freeze import WriteFreeze
from labeler_ops.move.rows import copy, grants, ownership
from labeler_ops.move.rows.ownership import VARIABLES

_TURNING = "back: read only"


@dataclass(frozen=True)
class ReplicationMove:
    """One Labeler DB that is followed by another."""

    context: MoveContext
    _moment: AsyncExitStack = field(default_factory=AsyncExitStack)
    _as_of: list[tuple[str, str]] = field(default_factory=list)

    @property
    def urls(self) -> Urls:
        """Both databases."""
        return self.context.databases

    @property
    def source(self) -> str:
        """The database that is moved."""
        return self.urls.source

    @property
    def target(self) -> str:
        """Where to."""
        return self.urls.target

    async def check(self) -> list[CheckFinding]:
        """Look whether it can be moved in this way; nothing is changed."""
        async with opened(self.urls) as sides:
            return await check_replication(sides, self.context.run.directory.parent, reverse=self.context.plan.reverse)

    @property
    def phases(self) -> Mapping[str, Phase]:
        """What is done to the rows, by name and in its order."""
        stands = self._stands(self.source)
        return {
            phase.name: phase
            for phase in (
                Phase("backup", self._backup, description="with its restore test; users work"),
                Phase("tables", self._tables, description="the source's tables are made on the target"),
                Phase("publication", self._publish, description="the source keeps its changes for the target"),
                Phase("subscription", self._subscribe, description="the target copies, and follows"),
                Phase("following", self._following, description="until the target is near; users work"),
                Phase("read only", self._read_only, stands, description="the last change, then every row is compared"),
                Phase("roles", self._roles, description="the role that serves, its grants, the new environment"),
                Phase("switch", self._switch, description="the target is closed until `open`; writes will flow back"),
            )
        }

    @property
    def after(self) -> list[Phase]:
        """What comes after the opening: the rows of that moment are compared, where that was asked for."""
        return (
            [Phase("verify", self._verify, description="the rows of the opening")]
            if self.context.plan.compare_after
            else []
        )

    @property
    def phases_back(self) -> Mapping[str, Phase]:
        """The way back to the source, which follows the target."""
        stands = self._stands(self.target)
        turned = Phase("back: switch", self._give_back)
        return {_TURNING: Phase(_TURNING, self._turn, stands), turned.name: turned}

    async def open(self, _: PhaseFacts) -> None:
        """Let users write on the target; hold both sides as they are now where they are compared afterwards."""
        # Once more, users may have written since the first time: nothing can be held that is the same.
        if self.context.plan.compare_after and self.context.run.attempts("open") == 1:
            self._as_of.append(await self._moment.enter_async_context(self._freeze.moment()))
        await fence.off(self.target, by=getpass.getuser())

    async def open_source(self, _: PhaseFacts) -> None:
        """Let users write on the source again."""
        await fence.off(self.source, by=getpass.getuser())

    async def flows_back(self) -> bool:
        """Whether the source follows the target: where it does not, a comparison is enough to go back unopened."""
        if not self.context.plan.reverse or self.is_turning:
            return self.context.plan.reverse
        try:
            async with opened(self.urls) as sides:
                return (await sides.backward.flow()).ready
        except DatabaseUnreachable:
            return True

    @property
    def is_turning(self) -> bool:
        """Whether a way back to the source has begun, and users may have been let in there."""
        return self.context.run.last(_TURNING) in {"started", "ended"}

    async def compare(self) -> None:
        """Compare every row of both sides. Raises DatabaseError."""
        await self._freeze.compare()

    async def give_up(self, facts: PhaseFacts) -> None:
        """Take everything away that replication left: before the opening the source serves, after it the target."""
        context = self.context
        if self.is_turning:
            raise DatabaseError("`labeler move rollback` was cut off while it changed sides: give it again first")
        away = await drop_everything(self.urls, context.reporter)
        serving = "target" if context.run.ended("open") is not None else "source"
        if serving in away:
            raise DatabaseError(f"the {serving} serves and cannot be reached: give it again when it is back")
        # A fence that this run did not build is another's: the target of that one may be serving.
        if "source" not in away and context.run.began("read only"):
            await fence.off(self.source, by=getpass.getuser())
        if serving == "source":
            write_downtime.end(context.run)
        facts["away"] = away

    async def leave(self, into: str) -> None:
        """Take the replication away once a copy of the target serves; a dump brings its publication along."""
        await drop_everything(self.urls, self.context.reporter)
        async with AsyncExitStack() as stack:
            await drop_publication(await side(stack, "copy", into), BACK)

    @property
    def way_out(self) -> str:
        """What is left when the source cannot follow."""
        return (
            f"mend it, or `labeler move rollback --run {self.context.run.id} --into` an empty database, which takes a "
            "copy of everything on the target"
        )

    @property
    def _freeze(self) -> WriteFreeze:
        return WriteFreeze(self.context.run, self.urls, self.context.reporter)

    def _stands(self, url: str) -> PhaseCheck:
        async def check() -> str | None:
            if (await fence.status(url)).stands:
                return None
            return (
                "the fence of the side that is left has been taken down, and somebody may have written there since: "
                "`labeler move rollback`, and start anew with an empty target"
            )

        return check

    async def _backup(self, facts: PhaseFacts) -> None:
        if not self.context.plan.backup:
            facts["left_out"] = True
            self.context.reporter.line(
                "NO BACKUP is made (--no-backup): replication copies mistakes, too, and does not undo them"
            )
            return
        context = self.context
        backed_up = await copy.back_up(
            context.run, self.source, self.target, context.reporter, jobs=context.options.jobs
        )
        facts.update(backed_up)

    async def _tables(self, _: PhaseFacts) -> None:
        async with opened(self.urls) as sides:
            if await is_bare(sides.target):
                await copy.clear(self.target)
            await initial_copy.make_tables(sides, self.context.run.path("schema.dump"))

    async def _publish(self, _: PhaseFacts) -> None:
        async with opened(self.urls) as sides:
            await sides.forward.publish()

    async def _subscribe(self, _: PhaseFacts) -> None:
        self._require_seen()
        async with opened(self.urls) as sides:
            await sides.forward.subscribe(copy=True)

    async def _following(self, facts: PhaseFacts) -> None:
        async with opened(self.urls) as sides:
            facts["tables"] = await initial_copy.copied(sides, self.context.reporter)
        # The long part of `roles` while everybody works: what is left for the stop is a password.
        await ownership.served(self.target)
        facts["gone"] = await grants.give_again(self.source, self.target)

    async def _read_only(self, facts: PhaseFacts) -> None:
        """Stop and compare; on any doubt users write on."""
        async with opened(self.urls) as sides:
            found = await self._freeze.make(sides.forward, self.source, rows=not self.context.plan.compare_after)
        if found:
            facts.update(digest=found.digest, rows=found.rows)

    async def _roles(self, facts: PhaseFacts) -> None:
        serves = await ownership.served(self.target, self.context.private_address)
        facts.update(
            environment=self._environment(self.context, serves),
            role=urlsplit(serves[VARIABLES["labeler"]]).username,
            owner=await ownership.owner(self.target),
        )

    async def _switch(self, _: PhaseFacts) -> None:
        reverse = self.context.plan.reverse
        if reverse:
            self._require_seen()
        async with opened(self.urls) as sides:
            if reverse:
                # The slot is there before anybody writes on the target, and the old subscription is gone before the
                # new one applies anything: no change is missed, and none goes round in a circle.
                await sides.backward.publish()
            await sides.forward.drop()
            if reverse:
                await sides.backward.subscribe(copy=False)
        # Nobody writes on the target before it was looked at.
        await fence.on(self.target, reason=fence.MOVED, by=getpass.getuser())

    async def _verify(self, facts: PhaseFacts) -> None:
        if not self._as_of:
            raise DatabaseError(
                "the rows were not found the same after the opening, or the comparison was cut off: "
                "`labeler move rollback` compares everything"
            )
        async with self._moment:
            found = await self._freeze.compare(self._as_of.pop())
            facts.update(digest=found.digest, rows=found.rows)

    async def _turn(self, facts: PhaseFacts) -> None:
        was_open = self.context.run.ended("open") is not None
        try:
            async with opened(self.urls) as sides:
                found = await self._freeze.make(sides.backward, self.target, rows=True, was_open=was_open)
        except DatabaseError as error:
            if not was_open or isinstance(error, DatabaseUnreachable):
                raise
            raise DatabaseError(f"{error}. The target serves on, and nothing is lost: {self.way_out}") from error
        if found:
            facts.update(digest=found.digest, rows=found.rows)

    async def _give_back(self, facts: PhaseFacts) -> None:
        async with opened(self.urls) as sides:
            await sides.backward.drop()
        variables = await ownership.of_the_source(self.source, self.context.reporter.line)
        facts["environment"] = self._environment(replace(self.context, back=True), variables)

    def _require_seen(self) -> None:
        if (known := self.context.run.facts.get("seen")) != (given := self.urls.seen):
            raise DatabaseError(
                "the servers see each other as the run began with: give --source-as-seen-by-target and "
                f"--target-as-seen-by-source as then ({known}, now {given})"
            )

    def _environment(self, context: MoveContext, variables: dict[str, str]) -> str:
        return write_variables(context.environment, variables | serving_variables(context)).name
