"""The rows by a dump: users read only while it is written, restored and compared."""

import getpass
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from labeler_api.migrations import HEAD
from labeler_api.text.counted_nouns import counted
from labeler_ops.connecting import connected_directly
from labeler_ops.database import state
from labeler_ops.database.roles import ROLES
from labeler_ops.database.verify import structure
from labeler_ops.database.verify.equality import DatabaseComparison, compare_databases
from labeler_ops.database.verify.session import opened
from labeler_ops.database.verify.structure import Roles
from labeler_ops.errors import DatabaseError
from labeler_ops.files import write_variables
from labeler_ops.maintenance import fence
from labeler_ops.move import write_downtime
from labeler_ops.move.checks.check_findings import CheckFinding
from labeler_ops.move.checks.dump_checks import check_databases, is_bare
from labeler_ops.move.context import MoveContext
from labeler_ops.move.engine import Phase, PhaseAction, PhaseCheck, PhaseFacts, PhaseUndo
from labeler_ops.move.move_report import COMPARISON, COMPARISON_BACK
from labeler_ops.move.object_move import serving_variables
from labeler_ops.move.rows import copy, grants, ownership, upgrading
from labeler_ops.move.rows.ownership import VARIABLES


@dataclass(frozen=True)
class DumpMove:
    """One database from `source` to `target`; on the way back from what was the target."""

    context: MoveContext
    source: str
    target: str

    async def check(self) -> list[CheckFinding]:
        """Look whether it can be moved; nothing is changed."""
        plan = self.context.plan
        directory = self.context.run.directory.parent
        return await check_databases(
            self.source,
            self.target,
            directory,
            database=plan.database,
            legacy_timezone=plan.legacy_timezone,
            returns=not self.context.back,
        )

    @property
    def phases(self) -> Mapping[str, Phase]:
        """What is done to the rows, by name and in its order."""
        zone = self.context.plan.legacy_timezone
        stands, again, untouched = self._source_stands, self._writes_again, self._require_untouched
        return {
            "backup": self._phase("backup", self._backup, "with its restore test; users work"),
            "read only": self._phase("read only", self._read_only, "from here on users read only", stands, again),
            "copy": self._phase("copy", self._copy, "a dump, and its restore into the target"),
            "verify": Phase(
                self.context.name("verify"), self._verify, description="every row and definition of both", compares=True
            ),
            "upgrade": self._phase("upgrade", self._upgrade, f"a source of before; its times are read as {zone}"),
            "roles": self._phase("roles", self._roles, "the role that serves, its grants, the new environment"),
            "switch": self._phase("switch", self._switch, "the target is closed until `open`", None, untouched),
        }

    def _phase(
        self, name: str, run: PhaseAction, text: str, check: PhaseCheck | None = None, undo: PhaseUndo | None = None
    ) -> Phase:
        return Phase(self.context.name(name), run, check, undo, text)

    async def open(self, _: PhaseFacts) -> None:
        """Let users write on the target."""
        await fence.off(self.target, by=getpass.getuser())

    async def give_up(self, _: PhaseFacts) -> None:
        """Give the way back up."""
        await fence.off(self.source, by=getpass.getuser())

    async def _backup(self, facts: PhaseFacts) -> None:
        run, options = self.context.run, self.context.options
        name = "backup-back" if self.context.back else "backup"
        facts.update(
            await copy.back_up(run, self.source, self.target, self.context.reporter, jobs=options.jobs, name=name)
        )

    async def _read_only(self, facts: PhaseFacts) -> None:
        write_downtime.begin(self.context.run)
        stands = await fence.on(self.source, reason=fence.MOVED, by=getpass.getuser())
        facts["tables"] = stands.tables
        self.context.reporter.line(
            f"nothing can be written to the source: {counted(stands.tables, 'table is', 'tables are')} fenced"
        )

    async def _source_stands(self) -> str | None:
        # Where only the objects are moved, it is this database that is opened again.
        serves = self.source == self.target and write_downtime.stopped_since(self.context.run) is None
        if serves or (await fence.status(self.source)).stands:
            return None
        return (
            "the source's fence does not stand: somebody has taken it down, and may have written. "
            "Start a new run with an empty target"
        )

    async def _writes_again(self) -> None:
        await fence.off(self.source, by=getpass.getuser())
        write_downtime.end(self.context.run)

    async def _copy(self, facts: PhaseFacts) -> None:
        run, plan = self.context.run, self.context.plan
        if run.attempts(self.context.name("copy")) > 1 or await self._is_bare():
            await copy.clear(self.target)  # the target was empty at the check: what is there is ours
        copied = await copy.copy(
            self.source,
            self.target,
            run.path("copy"),
            jobs=self.context.options.jobs,
            on_progress=self.context.reporter.progress,
            database=plan.database,
        )
        facts.update(msgspec.to_builtins(copied))

    async def _is_bare(self) -> bool:
        async with connected_directly("target", self.target) as connection:
            return await is_bare(connection)

    async def _verify(self, facts: PhaseFacts) -> None:
        found = await self._compared()
        self.context.reporter.show(found)
        self.context.run.write(COMPARISON_BACK if self.context.back else COMPARISON, found)
        facts.update(digest=found.digest, rows=found.rows, seconds=found.seconds)
        if not found.same:
            raise DatabaseError(f"the copy is not the same: {len(found.lines())} differences, in report.txt")

    async def _compared(self) -> DatabaseComparison:
        """Compare every row; of a database of the platform also owners and grants. The Labeler DB gets new ones."""
        database = self.context.plan.database
        roles = Roles(on_purpose=lambda found: grants.is_on_purpose(found, database))
        progress = self.context.reporter.progress
        return await compare_databases(
            self.source, self.target, progress=progress, roles=roles if self._is_theirs else None
        )

    @property
    def _is_theirs(self) -> bool:
        """Whether services of the platform write there, with roles of their own."""
        return self.context.plan.database != "labeler"

    async def _upgrade(self, facts: PhaseFacts) -> None:
        plan = self.context.plan
        if self._is_theirs:
            return  # its revisions, if it has any, are the platform's
        # The source's: a copy of it that was upgraded by an attempt which was cut off stands at the newest already.
        facts["before"] = before = await state.revision(self.source)
        if before is not None and before != HEAD:
            facts["upgraded"] = await upgrading.upgrade_copy(
                self.context.run, self.target, before, plan.legacy_timezone, self.context.reporter
            )

    async def _roles(self, facts: PhaseFacts) -> None:
        context = self.context
        if context.options.accept_quarantine:
            facts["accepted"] = True
        elif not context.back:  # the way back sets nothing aside, and what the way there did was accepted then
            upgrading.require_few_set_aside(context.run)
        database, private = context.plan.database, context.private_address
        if self._is_theirs:
            variables = await ownership.reader(database, self.target, private)
            facts.update(owner="who owned them on the source", carried=True, changed=await self._changed())
        else:
            variables = await ownership.served(self.target, private)
            facts.update(
                owner=await ownership.owner(self.target), gone=await grants.give_again(self.source, self.target)
            )
        write_variables(context.environment, variables | serving_variables(context))
        facts.update(environment=context.environment.name, role=urlsplit(variables[VARIABLES[database]]).username)

    async def _changed(self) -> list[str]:
        """What our reader's grants took from everybody, in sentences. Raises DatabaseError for others."""
        async with opened("source", self.source, 1) as ours, opened("target", self.target, 1) as theirs:
            found = await structure.compare(ours, theirs, Roles())
        database = self.context.plan.database
        if wrong := [str(one) for one in found if not grants.is_on_purpose(one, database)]:
            raise DatabaseError(f"owners and grants are not the same: {'; '.join(wrong[:3])}")
        changed = [str(one) for one in found if ROLES[database] not in one.name]
        for line in changed:
            self.context.reporter.line(f"so that {ROLES[database]} cannot write: {line}")
        return changed

    async def _switch(self, facts: PhaseFacts) -> None:
        # Nobody writes to the target before it was looked at: then the source, which nobody wrote to either, is a way
        # back that loses nothing.
        stands = await fence.on(self.target, reason=fence.MOVED, by=getpass.getuser())
        facts["tables"] = stands.tables

    async def _require_untouched(self) -> None:
        """Nobody may have written to the closed target; who did would lose it now."""
        context = self.context
        if context.run.ended(self.context.name("switch")) is None:
            return
        try:
            async with connected_directly("target", self.target):
                pass
        except DatabaseError as error:
            # Closed since before any service knew it, and fenced: there is nothing on it that the source has not.
            context.reporter.line(f"{error}. Nobody could write there: the source serves on without it")
            return
        if not (await fence.status(self.target)).stands:
            raise DatabaseError(
                "the target's fence does not stand although it was not opened: somebody may have written there. "
                "See what; then `labeler move open` and a way back that brings it along, --into"
            )
        if (context.run.ended(self.context.name("upgrade")) or {}).get("before") not in {None, HEAD}:
            return  # its rows are written in another form; the fence is the proof
        found = await self._compared()
        if not found.same:
            context.reporter.show(found)
            raise DatabaseError(
                "the target was written to although it was not open: see what differs; then `labeler move open` and "
                "--into"
            )
