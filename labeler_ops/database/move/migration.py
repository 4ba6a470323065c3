"""The move of one database as phases of a run: each is done once, and a run that was cut off goes on at the next.

The phases are preflight, backup, maintenance, copy, verify, upgrade and switch; then the services are deployed and
looked at, and the target is opened. The way back is there at any time until finalize. The source is fenced from
`maintenance` on and stays so, the target from the switch to the opening: whatever happens, there is at most one side
that is written to.
"""

import getpass
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from labeler_api.migrations import HEAD
from labeler_ops.backup import clients, dumps
from labeler_ops.database import state
from labeler_ops.database.errors import DatabaseRefused
from labeler_ops.database.move import copy, ownership, report, rollback, upgrading
from labeler_ops.database.move.databases import VARIABLES, reader
from labeler_ops.database.move.preflight import Findings, connected, preflight
from labeler_ops.database.move.proven_backup import back_up
from labeler_ops.database.roles import Database
from labeler_ops.database.verify.run import verify
from labeler_ops.maintenance import fence
from labeler_ops.runs import Run, RunError, place
from labeler_ops.voice import Voice

COMPARISON = report.COMPARISON


class Migration:
    """One move from a source to a target; `variable` is what the services call the URL, if not what is usual."""

    def __init__(
        self,
        run: Run,
        source: str,
        target: str,
        voice: Voice,
        *,
        jobs: int = dumps.JOBS,
        variable: str | None = None,
        accept_quarantine: bool = False,
    ) -> None:
        self.run, self.source, self.target, self.voice, self.jobs = run, source, target, voice, jobs
        known = run.facts
        self.database: Database = known.get("database", "labeler")
        self.variable = variable or VARIABLES[self.database]
        self.legacy_timezone: str = known.get("legacy_timezone", upgrading.UTC)
        self.accept_quarantine = accept_quarantine
        if (known.get("source"), known.get("target")) != (place(source), place(target)):
            raise RunError(
                f"run {run.id} moves {known.get('source')} to {known.get('target')}, "
                f"not {place(source)} to {place(target)}: give its URLs"
            )

    @classmethod
    def begin(
        cls,
        root: Path,
        source: str,
        target: str,
        voice: Voice,
        *,
        database: Database = "labeler",
        legacy_timezone: str = upgrading.UTC,
        **options: Any,
    ) -> "Migration":
        """Start a run for these two sides; the zone is that of times which production's server filled in."""
        facts = {"source": place(source), "target": place(target), "database": database}
        run = Run.start(root, "move", facts | {"legacy_timezone": legacy_timezone})
        return cls(run, source, target, voice, **options)

    @property
    def phases(self) -> Mapping[str, Callable[[dict[str, Any]], Awaitable[None]]]:
        """Every phase of `migrate` up to the switch, in its order."""
        return {
            "preflight": self._preflight,
            "backup": self._backup,
            "maintenance": self._maintenance,
            "copy": self._copy,
            "verify": self._verify,
            "upgrade": self._upgrade,
            "switch": self._switch,
        }

    async def migrate(self, *, until: str = "switch") -> None:
        """Do every phase that has not ended, up to and with `until`. Raises DatabaseRefused at the first doubt."""
        self._require_open()
        for name, phase in self.phases.items():
            if self.run.ended(name) is not None:
                self.voice.line(f"{name}: done already")
            else:
                self.voice.line(name)
                with self.run.phase(name) as facts:
                    await phase(facts)
            if name == until:
                return

    async def open(self) -> None:
        """Let users write on the target; from now on a way back has to bring their work along."""
        self._require_open()
        if self.run.ended("switch") is None:
            raise DatabaseRefused("the target is opened after the switch, which has not been made yet")
        if self.run.ended("open") is not None:
            self.voice.line("open: done already")
            return
        with self.run.phase("open"):
            await fence.off(self.target, by=getpass.getuser())

    async def finalize(self) -> None:
        """Give the way back up: the source may be written to or dropped by whoever owns it."""
        self._require_open()
        if self.run.ended("open") is None:
            raise DatabaseRefused("there is nothing to finalize before the target is open")
        with self.run.phase("finalize"):
            await fence.off(self.source, by=getpass.getuser())

    async def rollback(
        self, into: str | None = None, *, launch: "Callable[[Migration], Awaitable[None]] | None" = None
    ) -> str:
        """Go back; the URL of the database that serves from now on. Given again, it goes on where it was cut off.

        Before the target was opened nothing was written there: the source serves again. After that everything is
        copied from the target into `into`, an empty database; `launch` deploys and looks before it is opened.
        """
        self._require_open()
        if into is not None and self.run.ended("open") is not None:
            return await rollback.into_empty(self, into, launch)
        if self.run.ended("open") is None and self.run.began("open"):
            raise DatabaseRefused(
                "`labeler db open` was cut off, so users may have written on the target: give it again first"
            )
        if self.run.ended("open") is None:
            return await rollback.to_source(self)
        raise DatabaseRefused(
            "the target has been written to since it was opened: give an empty database, --into, for all of it"
        )

    async def write_environment(self, name: str, url: str) -> Path:
        """Write what the services need to use a database; the only file of a run that holds passwords."""
        variables = {self.variable: url} if self.database == "labeler" else await reader(self.database, url)
        path = self.run.path(name)
        path.touch(mode=0o600)
        path.write_text("".join(f"{key}={json.dumps(value)}\n" for key, value in variables.items()))
        return path

    async def _preflight(self, facts: dict[str, Any]) -> None:
        findings = await preflight(
            self.source,
            self.target,
            self.run.directory,
            database=self.database,
            legacy_timezone=self.legacy_timezone,
        )
        self.voice.show(Findings(findings))
        facts["findings"] = msgspec.to_builtins(findings)
        if refused := [finding for finding in findings if finding.verdict == "refused"]:
            raise DatabaseRefused("; ".join(f"{finding.name}: {finding.text}" for finding in refused))

    async def _backup(self, facts: dict[str, Any]) -> None:
        tools = await self._clients()
        facts.update(await back_up(self.run, tools, self.source, self.target, self.voice, self.jobs))

    async def _maintenance(self, facts: dict[str, Any]) -> None:
        stands = await fence.on(self.source, reason=fence.MOVED, by=getpass.getuser())
        facts["tables"] = stands.tables
        self.voice.line(f"nothing can be written to the source: {stands.tables} tables are fenced")

    async def _copy(self, facts: dict[str, Any]) -> None:
        if any(event.phase == "copy" and event.event == "started" for event in self.run.events[:-1]):
            await copy.clear(self.target)  # the target was empty at the preflight: what is there is ours
        await self._require_fence()
        copied = await copy.copy(
            await self._clients(),
            self.source,
            self.target,
            self.run.path("copy"),
            jobs=self.jobs,
            told=self.voice.progress,
            database=self.database,
        )
        facts.update(msgspec.to_builtins(copied))

    async def _verify(self, facts: dict[str, Any]) -> None:
        found = await verify(self.source, self.target, progress=self.voice.progress)
        self.voice.show(found)
        self.run.write(COMPARISON, found)
        facts.update(digest=found.digest, rows=found.rows, seconds=found.seconds)
        if not found.same:
            raise DatabaseRefused(f"the copy is not the same: {len(found.lines())} differences, in report.txt")
        await self._require_fence()

    async def _upgrade(self, facts: dict[str, Any]) -> None:
        if self.database != "labeler":
            return  # its revisions, if it has any, are the platform's
        # The source's: a copy of it that was upgraded by an attempt which was cut off stands at the newest already.
        facts["before"] = before = await state.revision(self.source)
        if before is not None and before != HEAD:
            facts["upgraded"] = await upgrading.upgrade_copy(
                self.run, self.target, before, self.legacy_timezone, self.voice
            )

    async def _switch(self, facts: dict[str, Any]) -> None:
        await self._require_fence()
        if self.accept_quarantine:
            facts["accepted"] = True
        else:
            upgrading.require_few_set_aside(self.run)
        # Roles first: the fence counts what is in the database, and grants are no rows.
        serves = await ownership.served(self.target) if self.database == "labeler" else self.target
        path = await self.write_environment("environment.new", serves)
        # Nobody writes to the target before it was looked at: then the source, which nobody wrote to either, is a way
        # back that loses nothing.
        await fence.on(self.target, reason=fence.MOVED, by=getpass.getuser())
        facts["environment"] = path.name
        self.voice.line(f"the new environment is in {path}: set {self.variable} on every service, and deploy")

    async def _require_fence(self) -> None:
        if not (await fence.status(self.source)).stands:
            raise DatabaseRefused(
                "the source's fence does not stand: somebody has taken it down, and may have written. "
                "Start a new run with an empty target"
            )

    async def _clients(self) -> clients.Clients:
        connection = await connected("target", self.target)
        try:
            return clients.find(connection.get_server_version().major)
        finally:
            await connection.close(timeout=5)

    def _require_open(self) -> None:
        for end in ("finalize", rollback.PHASE):
            if self.run.ended(end) is not None:
                raise DatabaseRefused(f"run {self.run.id} is over: {end} has been done")
